package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto/kzg4844"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/holiman/uint256"
)

// Signed transactions of each type, what is refused, what waits.
var sends = []check{
	{"sends each type of transaction", sendEach},
	{"sends blobs", sendBlobs},
	{"sends and gets the receipt at once", sendSync},
	{"is refused with geth's words", refusals},
	{"sees what waits", sendAhead},
	{"signs and fills with the node's accounts", nodeSigns},
}

func (w *world) signed(key int, data types.TxData) *types.Transaction {
	return types.MustSignNewTx(w.keys[key], w.signer, data)
}

func (w *world) nonce(key int) uint64 {
	nonce, err := w.eth.PendingNonceAt(w.ctx, w.addresses[key])
	if err != nil {
		panic(err)
	}
	return nonce
}

// sent is the receipt of a transaction that this signs and sends, read back as it was.
func (w *world) sent(key int, data types.TxData) (*types.Receipt, error) {
	transaction := w.signed(key, data)
	receipt, err := w.succeeded(transaction, w.eth.SendTransaction(w.ctx, transaction))
	if err != nil {
		return nil, err
	}
	again, _, err := w.eth.TransactionByHash(w.ctx, transaction.Hash())
	if err != nil {
		return nil, err
	}
	return receipt, all(
		want("hash", again.Hash(), transaction.Hash()),
		want("type", receipt.Type, transaction.Type()),
	)
}

func sendEach(w *world) error {
	to, price, tip := &w.addresses[2], big.NewInt(5e9), big.NewInt(1e9)
	list := types.AccessList{{Address: w.Contract, StorageKeys: []common.Hash{{}}}}
	nonce := w.nonce(0)
	authorization, err := types.SignSetCode(w.keys[1], types.SetCodeAuthorization{
		ChainID: *uint256.MustFromBig(w.chain), Address: w.token, Nonce: w.nonce(1),
	})
	if err != nil {
		return err
	}
	for _, data := range []types.TxData{
		&types.LegacyTx{Nonce: nonce, GasPrice: price, Gas: 21_000, To: to, Value: common.Big1},
		&types.AccessListTx{
			ChainID: w.chain, Nonce: nonce + 1, GasPrice: price, Gas: 60_000, To: to, AccessList: list,
		},
		&types.DynamicFeeTx{
			ChainID: w.chain, Nonce: nonce + 2, GasFeeCap: price, GasTipCap: tip, Gas: 60_000, To: to,
			AccessList: list,
		},
		&types.SetCodeTx{
			ChainID: uint256.MustFromBig(w.chain), Nonce: nonce + 3, GasFeeCap: uint256.NewInt(5e9),
			GasTipCap: uint256.NewInt(1e9), Gas: 100_000, To: w.addresses[2],
			AuthList: []types.SetCodeAuthorization{authorization},
		},
	} {
		if _, err := w.sent(0, data); err != nil {
			return fmt.Errorf("%T: %w", data, err)
		}
	}
	code, err := w.eth.CodeAt(w.ctx, w.addresses[1], nil)
	if err != nil {
		return err
	}
	target, delegated := types.ParseDelegation(code)
	return all(want("delegated", delegated, true), want("target", target, w.token))
}

// sendBlobs in both forms: a development node takes the proofs of before Osaka too, as anvil does.
func sendBlobs(w *world) error {
	blob := kzg4844.Blob{1: 7}
	commitment, err := kzg4844.BlobToCommitment(&blob)
	if err != nil {
		return err
	}
	proof, err := kzg4844.ComputeBlobProof(&blob, commitment)
	if err != nil {
		return err
	}
	cells, err := kzg4844.ComputeCellProofs(&blob)
	if err != nil {
		return err
	}
	for version, proofs := range [][]kzg4844.Proof{{proof}, cells} {
		sidecar := types.NewBlobTxSidecar(
			byte(version), []kzg4844.Blob{blob}, []kzg4844.Commitment{commitment}, proofs,
		)
		receipt, err := w.sent(0, &types.BlobTx{
			ChainID: uint256.MustFromBig(w.chain), Nonce: w.nonce(0), GasFeeCap: uint256.NewInt(5e9),
			GasTipCap: uint256.NewInt(1e9), Gas: 21_000, To: w.addresses[2],
			BlobFeeCap: uint256.NewInt(1e9), BlobHashes: sidecar.BlobHashes(), Sidecar: sidecar,
		})
		if err != nil {
			return fmt.Errorf("version %d: %w", version, err)
		}
		header, err := w.eth.HeaderByHash(w.ctx, receipt.BlockHash)
		if err := all(
			err, want("blob gas", receipt.BlobGasUsed, 131072),
			want("of the block", *header.BlobGasUsed, 131072),
		); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) payment(key int, nonce uint64, gas uint64) *types.Transaction {
	return w.signed(key, &types.DynamicFeeTx{
		ChainID: w.chain, Nonce: nonce, GasFeeCap: big.NewInt(5e9), GasTipCap: big.NewInt(1e9),
		Gas: gas, To: &w.addresses[3], Value: common.Big1,
	})
}

func sendSync(w *world) error {
	wait := 5 * time.Second
	first := w.payment(0, w.nonce(0), 21_000)
	receipt, err := w.eth.SendTransactionSync(w.ctx, first, &wait)
	if err != nil {
		return err
	}
	if err := want("hash", receipt.TxHash, first.Hash()); err != nil {
		return err
	}
	raw, err := w.payment(0, w.nonce(0), 21_000).MarshalBinary()
	if err != nil {
		return err
	}
	if _, err := w.eth.SendRawTransactionSync(w.ctx, raw, nil); err != nil {
		return err
	}
	short := 20 * time.Millisecond
	ahead := w.payment(2, w.nonce(2)+5, 21_000)
	_, err = w.eth.SendTransactionSync(w.ctx, ahead, &short)
	var late rpc.DataError
	if !errors.As(err, &late) {
		return fmt.Errorf("no data: %v", err)
	}
	return all(
		want("code", err.(rpc.Error).ErrorCode(), 4), want("data", late.ErrorData(), ahead.Hash().Hex()),
	)
}

func refusals(w *world) error {
	nonce := w.nonce(0)
	send := func(transaction *types.Transaction) error {
		return w.eth.SendTransaction(w.ctx, transaction)
	}
	rich := w.signed(0, &types.LegacyTx{
		Nonce: nonce, GasPrice: big.NewInt(5e9), Gas: 21_000, To: &w.addresses[2],
		Value: new(big.Int).Lsh(common.Big1, 200),
	})
	tipped := w.signed(0, &types.DynamicFeeTx{
		ChainID: w.chain, Nonce: nonce, GasFeeCap: big.NewInt(1e9), GasTipCap: big.NewInt(2e9),
		Gas: 21_000, To: &w.addresses[2],
	})
	elsewhere := types.MustSignNewTx(w.keys[0], types.LatestSignerForChainID(big.NewInt(5)),
		&types.LegacyTx{Nonce: nonce, GasPrice: big.NewInt(5e9), Gas: 21_000, To: &w.addresses[2]})
	waiting := w.payment(2, w.nonce(2)+9, 21_000)
	if err := send(waiting); err != nil {
		return err
	}
	return all(
		failing(send(w.payment(0, 0, 21_000)), "nonce too low"),
		failing(send(rich), "insufficient funds for gas * price + value"),
		failing(send(w.payment(0, nonce, 20_999)), "intrinsic gas too low"),
		failing(send(w.payment(0, nonce, 1<<40)), "exceeds"),
		failing(send(tipped), "max priority fee per gas higher than max fee per gas"),
		failing(send(elsewhere), "invalid chain id"),
		failing(send(waiting), "already known"),
		failing(send(w.payment(2, waiting.Nonce(), 21_001)), "replacement transaction underpriced"),
	)
}

func sendAhead(w *world) error {
	ahead := w.payment(2, w.nonce(2)+7, 21_000)
	if err := w.eth.SendTransaction(w.ctx, ahead); err != nil {
		return err
	}
	found, pending, err := w.eth.TransactionByHash(w.ctx, ahead.Hash())
	if err != nil {
		return err
	}
	_, missing := w.eth.TransactionReceipt(w.ctx, ahead.Hash())
	var content map[string]map[common.Address]map[string]*types.Transaction
	var mine map[string]map[string]*types.Transaction
	var status map[string]hexutil.Uint
	client := w.eth.Client()
	err = all(
		client.CallContext(w.ctx, &content, "txpool_content"),
		client.CallContext(w.ctx, &mine, "txpool_contentFrom", w.addresses[2]),
		client.CallContext(w.ctx, &status, "txpool_status"),
	)
	if err != nil {
		return err
	}
	place := fmt.Sprint(ahead.Nonce())
	queued := content["queued"][w.addresses[2]]
	if queued == nil || queued[place] == nil || mine["queued"][place] == nil {
		return fmt.Errorf("%v and %v do not hold %s", content["queued"], mine["queued"], place)
	}
	return all(
		want("pending", pending, true), want("hash", found.Hash(), ahead.Hash()),
		failing(missing, "not found"), want("in the pool", queued[place].Hash(), ahead.Hash()),
		want("of the sender", mine["queued"][place].Hash(), ahead.Hash()),
		want("counted", status["queued"] >= 2, true),
	)
}

// nodeSigns: a development node holds the keys of this chain.
func nodeSigns(w *world) error {
	var filled struct {
		Raw hexutil.Bytes      `json:"raw"`
		Tx  *types.Transaction `json:"tx"`
	}
	arguments := map[string]any{"from": w.addresses[0], "to": common.Address{0x99}, "value": "0x1"}
	if err := w.eth.Client().CallContext(w.ctx, &filled, "eth_fillTransaction", arguments); err != nil {
		return err
	}
	raw := new(types.Transaction)
	if err := raw.UnmarshalBinary(filled.Raw); err != nil {
		return err
	}
	if raw.Hash() != filled.Tx.Hash() || raw.Gas() != 21_000 || raw.To() == nil {
		return fmt.Errorf("filled otherwise: %+v", filled.Tx)
	}
	var signed struct {
		Raw hexutil.Bytes      `json:"raw"`
		Tx  *types.Transaction `json:"tx"`
	}
	whole := map[string]any{
		"from": w.addresses[0], "to": w.addresses[3], "value": "0x1", "nonce": "0x7", "gas": "0x5208",
		"maxFeePerGas": "0x77359400", "maxPriorityFeePerGas": "0x1",
	}
	if err := w.eth.Client().CallContext(w.ctx, &signed, "eth_signTransaction", whole); err != nil {
		return err
	}
	raw = new(types.Transaction)
	if err := raw.UnmarshalBinary(signed.Raw); err != nil {
		return err
	}
	sender, err := types.Sender(w.signer, signed.Tx)
	if err != nil {
		return err
	}
	if raw.Hash() != signed.Tx.Hash() || sender != w.addresses[0] {
		text, _ := json.Marshal(signed)
		return fmt.Errorf("signed otherwise: %s", text)
	}
	return nil
}
