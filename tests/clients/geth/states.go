package main

import (
	"math/big"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/ethclient/gethclient"
	"github.com/ethereum/go-ethereum/ethdb/memorydb"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/ethereum/go-ethereum/trie"
)

// State of now and of then, proofs, calls with overrides, simulations.
var states = []check{
	{"reads accounts by number, by hash and as they will be", readAccounts},
	{"calls by number, by hash and on what waits", readCalls},
	{"decodes what a call reverted with", readReverts},
	{"estimates gas at any block", readEstimates},
	{"proves accounts and slots", readProofs},
	{"makes access lists", readAccessLists},
	{"overrides state and block of a call", readOverrides},
	{"simulates blocks", simulate},
}

func readAccounts(w *world) error {
	logs := number(w.Blocks["logs"])
	header, err := w.eth.HeaderByNumber(w.ctx, logs)
	if err != nil {
		return err
	}
	hash, who := header.Hash(), w.addresses[0]
	balance, first := w.eth.BalanceAt(w.ctx, who, logs)
	sameBalance, second := w.eth.BalanceAtHash(w.ctx, who, hash)
	nonce, third := w.eth.NonceAt(w.ctx, who, logs)
	sameNonce, fourth := w.eth.NonceAtHash(w.ctx, who, hash)
	slot, fifth := w.eth.StorageAt(w.ctx, w.Contract, common.Hash{}, logs)
	sameSlot, sixth := w.eth.StorageAtHash(w.ctx, w.Contract, common.Hash{}, hash)
	code, seventh := w.eth.CodeAt(w.ctx, w.Contract, logs)
	sameCode, eighth := w.eth.CodeAtHash(w.ctx, w.Contract, hash)
	early, ninth := w.eth.CodeAt(w.ctx, w.Contract, common.Big0)
	if err := all(first, second, third, fourth, fifth, sixth, seventh, eighth, ninth); err != nil {
		return err
	}
	_, first = w.eth.PendingBalanceAt(w.ctx, who)
	_, second = w.eth.PendingStorageAt(w.ctx, w.Contract, common.Hash{})
	pendingCode, third := w.eth.PendingCodeAt(w.ctx, w.Contract)
	pendingNonce, fourth := w.eth.PendingNonceAt(w.ctx, who)
	_, fifth = w.eth.PendingTransactionCount(w.ctx)
	return all(
		first, second, third, fourth, fifth,
		want("balance", balance, sameBalance), want("nonce", nonce, sameNonce),
		want("slot", slot, word(42)), want("by hash", sameSlot, slot),
		want("code", sameCode, code), want("early", len(early), 0),
		want("pending", pendingCode, code), want("later", pendingNonce > nonce, true),
	)
}

func (w *world) message(data []byte) ethereum.CallMsg {
	return ethereum.CallMsg{From: w.addresses[0], To: &w.Contract, Data: data}
}

func readCalls(w *world) error {
	logs := number(w.Blocks["logs"])
	header, err := w.eth.HeaderByNumber(w.ctx, logs)
	if err != nil {
		return err
	}
	then, first := w.eth.CallContract(w.ctx, w.message(word(1)), logs)
	byHash, second := w.eth.CallContractAtHash(w.ctx, w.message(word(1)), header.Hash())
	now, third := w.eth.PendingCallContract(w.ctx, w.message(word(1)))
	full := w.message(word(1))
	full.Gas, full.GasFeeCap, full.GasTipCap = 300_000, big.NewInt(1e12), big.NewInt(1)
	full.Value, full.AccessList = common.Big0, types.AccessList{{Address: w.Contract}}
	rich, fourth := w.eth.CallContract(w.ctx, full, nil)
	legacy := w.message(word(1))
	legacy.GasPrice = big.NewInt(1e12)
	_, fifth := w.eth.CallContract(w.ctx, legacy, nil)
	creation := ethereum.CallMsg{From: w.addresses[0], Data: bytecode("600160005360016000f3")}
	made, sixth := w.eth.CallContract(w.ctx, creation, nil)
	return all(
		first, second, third, fourth, fifth, sixth,
		want("then", then, word(42)), want("by hash", byHash, then),
		want("now", now, rich), want("made", made, []byte{1}),
	)
}

func readReverts(w *world) error {
	_, reverted := w.eth.CallContract(w.ctx, w.message([]byte{0xab}), nil)
	_, estimated := w.eth.EstimateGas(w.ctx, w.message([]byte{0xab}))
	data, found := ethclient.RevertErrorData(reverted)
	again, alsoFound := ethclient.RevertErrorData(estimated)
	_, halted := w.eth.CallContract(w.ctx, w.message([]byte{1, 2}), nil)
	_, any := ethclient.RevertErrorData(halted)
	return all(
		want("found", found, true), want("of an estimate", alsoFound, true),
		want("data", len(data), 1), want("the same", again, data),
		want("no data", any, false), failing(halted, "invalid opcode: INVALID"),
	)
}

func readEstimates(w *world) error {
	logs := number(w.Blocks["logs"])
	header, err := w.eth.HeaderByNumber(w.ctx, logs)
	if err != nil {
		return err
	}
	now, first := w.eth.EstimateGas(w.ctx, w.message(word(1)))
	then, second := w.eth.EstimateGasAtBlock(w.ctx, w.message(word(1)), logs)
	byHash, third := w.eth.EstimateGasAtBlockHash(w.ctx, w.message(word(1)), header.Hash())
	early, fourth := w.eth.EstimateGasAtBlock(w.ctx, w.message(word(1)), common.Big0)
	return all(
		first, second, third, fourth, want("now", now > 21_000, true),
		want("by hash", byHash, then), want("before it was there", early < then, true),
	)
}

func readProofs(w *world) error {
	at := number(w.Blocks["logs"])
	header, err := w.eth.HeaderByNumber(w.ctx, at)
	if err != nil {
		return err
	}
	missing := common.HexToHash("0x99").Hex()
	proof, err := w.geth.GetProof(w.ctx, w.Contract, []string{"0x0", missing}, at)
	if err != nil {
		return err
	}
	value, err := verified(header.Root, w.Contract.Bytes(), proof.AccountProof)
	if err != nil {
		return err
	}
	account := new(types.StateAccount)
	if err := rlp.DecodeBytes(value, account); err != nil {
		return err
	}
	slot, err := verified(proof.StorageHash, make([]byte, 32), proof.StorageProof[0].Proof)
	if err != nil {
		return err
	}
	nothing, err := verified(proof.StorageHash, common.FromHex(missing), proof.StorageProof[1].Proof)
	if err != nil {
		return err
	}
	nobody, err := w.geth.GetProof(w.ctx, common.Address{0x99}, nil, nil)
	if err != nil {
		return err
	}
	return all(
		want("root", account.Root, proof.StorageHash), want("nonce", account.Nonce, proof.Nonce),
		want("code", common.BytesToHash(account.CodeHash), proof.CodeHash),
		want("balance", account.Balance, proof.Balance), want("slot", slot, []byte{42}),
		want("key", proof.StorageProof[0].Key, "0x0"), want("nothing", len(nothing), 0),
		want("value", proof.StorageProof[0].Value, 42), want("nobody", nobody.Balance, 0),
		want("no slots", len(nobody.StorageProof), 0),
	)
}

// verified is what stands under a key, which the nodes of the proof show.
func verified(root common.Hash, key []byte, nodes []string) ([]byte, error) {
	store := memorydb.New()
	for _, node := range nodes {
		bytes := common.FromHex(node)
		if err := store.Put(crypto.Keccak256(bytes), bytes); err != nil {
			return nil, err
		}
	}
	return trie.VerifyProof(root, crypto.Keccak256(key), store)
}

func readAccessLists(w *world) error {
	list, gas, said, err := w.geth.CreateAccessList(w.ctx, w.message(word(1)))
	if err != nil {
		return err
	}
	_, _, reverted, err := w.geth.CreateAccessList(w.ctx, w.message([]byte{0xab}))
	return all(
		err, want("said", said, ""), want("gas", gas > 21_000, true),
		want("entries", len(*list), 1), want("address", (*list)[0].Address, w.Contract),
		want("slots", (*list)[0].StorageKeys, []common.Hash{{}}),
		want("reverted", reverted, "execution reverted"),
	)
}

func readOverrides(w *world) error {
	// NUMBER, BALANCE of the caller and slot 1, one word each.
	code := bytecode("43600052333160205260015460405260606000f3")
	other := common.Address{0x55}
	overrides := map[common.Address]gethclient.OverrideAccount{
		w.addresses[0]: {Balance: big.NewInt(1e18), Nonce: 7},
		other:          {Code: code, State: map[common.Hash]common.Hash{{31: 1}: {31: 9}}},
		w.Contract:     {StateDiff: map[common.Hash]common.Hash{{}: {31: 5}}},
	}
	message := w.message(nil)
	message.To = &other
	answer, first := w.geth.CallContract(w.ctx, message, nil, &overrides)
	changed, second := w.geth.CallContract(w.ctx, w.message(word(1)), nil, &overrides)
	block := gethclient.BlockOverrides{
		Number: big.NewInt(1000), Time: 99, GasLimit: 1_000_000, Coinbase: other,
		Random: common.Hash{1}, BaseFee: big.NewInt(0),
	}
	then, third := w.geth.CallContractWithBlockOverrides(w.ctx, message, nil, &overrides, block)
	plain, fourth := w.geth.CallContract(w.ctx, w.message(word(1)), nil, nil)
	if err := all(first, second, third, fourth); err != nil {
		return err
	}
	return all(
		want("balance", new(big.Int).SetBytes(answer[32:64]), int64(1e18)),
		want("slot", answer[64:], word(9)), want("changed", changed, word(5)),
		want("number", then[:32], word(1000)), want("plain", len(plain), 32),
	)
}

func simulate(w *world) error {
	who, created := w.addresses[1], common.Address{0x77, 0x77}
	options := ethclient.SimulateOptions{
		BlockStateCalls: []ethclient.SimulateBlock{
			{
				StateOverrides: map[common.Address]ethereum.OverrideAccount{
					created: {Balance: big.NewInt(1e18), Code: bytecode("60aa60005260206000fd")},
				},
				Calls: []ethereum.CallMsg{
					w.message(word(5)), w.message([]byte{0xab}),
					{From: who, To: &created, Value: big.NewInt(3)},
				},
			},
			{
				BlockOverrides: &ethereum.BlockOverrides{Number: big.NewInt(200), Coinbase: who},
				Calls:          []ethereum.CallMsg{w.message(word(6))},
			},
		},
		TraceTransfers: true, ReturnFullTransactions: true,
	}
	latest := rpc.BlockNumberOrHashWithNumber(rpc.LatestBlockNumber)
	blocks, err := w.eth.SimulateV1(w.ctx, options, &latest)
	if err != nil {
		return err
	}
	calls, last := blocks[0].Calls, blocks[len(blocks)-1]
	if err := all(
		want("calls", len(calls), 3), want("status", calls[0].Status, 1),
		want("logs", len(calls[0].Logs), 1), want("topic", calls[0].Logs[0].Topics[0].Big(), 7),
		want("failed", calls[1].Status, 0), want("number", last.Number, 200),
		want("previous", last.Calls[0].ReturnValue, word(5)), want("miner", last.FeeRecipient, who),
		want("code", calls[2].Error.Code, 3),
		want("data", calls[2].Error.Data, hexutil.Encode(word(0xaa))),
		want("gas", calls[0].MaxUsedGas >= calls[0].GasUsed, true),
	); err != nil {
		return err
	}
	options.Validation = true
	_, err = w.eth.SimulateV1(w.ctx, options, nil)
	return failing(err, "max fee per gas less than block base fee")
}
