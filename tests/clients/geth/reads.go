package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/ethereum/go-ethereum/trie"
)

// ours are the transactions that go-ethereum has no type for.
var ours = []string{"fee currency", "ghost"}

// Blocks, transactions, receipts, logs, fees.
var reads = []check{
	{"reads a block of each kind, and its hashes hold", readBlocks},
	{"reads a block with a transaction of our own types", readOurBlock},
	{"reads the block of each tag", readTags},
	{"reads transactions of each type", readTransactions},
	{"reads receipts of each type", readReceipts},
	{"says what is not found", readNothing},
	{"finds logs", readLogs},
	{"reads fees", readFees},
	{"asks in batches", readBatch},
	{"reads the network", readNetwork},
}

func readBlocks(w *world) error {
	ourBlock := w.Blocks[ours[0]]
	head, err := w.eth.BlockNumber(w.ctx)
	if err != nil {
		return err
	}
	for at := uint64(0); at <= head; at++ {
		header, err := w.eth.HeaderByNumber(w.ctx, number(at))
		if err != nil {
			return fmt.Errorf("header %d: %w", at, err)
		}
		again, err := w.eth.HeaderByHash(w.ctx, header.Hash())
		if err != nil {
			return fmt.Errorf("header %d by its hash: %w", at, err)
		}
		count, err := w.eth.TransactionCount(w.ctx, header.Hash())
		if err != nil {
			return err
		}
		if err := all(want("number", again.Number, at), receiptsHold(w, header, count)); err != nil {
			return fmt.Errorf("block %d: %w", at, err)
		}
		if at == ourBlock {
			continue
		}
		block, err := w.eth.BlockByNumber(w.ctx, number(at))
		if err != nil {
			return fmt.Errorf("block %d: %w", at, err)
		}
		if err := blockHolds(block, header, count); err != nil {
			return fmt.Errorf("block %d: %w", at, err)
		}
	}
	return nil
}

// blockHolds recomputes the roots of what came with a header.
func blockHolds(block *types.Block, header *types.Header, count uint) error {
	hasher := trie.NewStackTrie(nil)
	outcomes := []error{
		want("hash", block.Hash(), header.Hash()),
		want("count", len(block.Transactions()), count),
		want("transactions' root", types.DeriveSha(block.Transactions(), hasher), header.TxHash),
	}
	if header.WithdrawalsHash != nil {
		root := types.DeriveSha(block.Withdrawals(), trie.NewStackTrie(nil))
		outcomes = append(outcomes, want("withdrawals' root", root, *header.WithdrawalsHash))
	}
	return all(outcomes...)
}

// receiptsHold reads a block's receipts, by number and by hash, and recomputes their root.
func receiptsHold(w *world, header *types.Header, count uint) error {
	byNumber := rpc.BlockNumberOrHashWithNumber(rpc.BlockNumber(header.Number.Int64()))
	first, err := w.eth.BlockReceipts(w.ctx, byNumber)
	if err != nil {
		return err
	}
	byHash := rpc.BlockNumberOrHashWithHash(header.Hash(), true)
	second, err := w.eth.BlockReceipts(w.ctx, byHash)
	if err != nil {
		return err
	}
	for _, receipt := range first {
		if receipt.Type == 0x47 || receipt.Type == 0x7b {
			return want("count", len(second), count) // Consensus encoding knows no such type.
		}
	}
	root := types.DeriveSha(types.Receipts(first), trie.NewStackTrie(nil))
	return all(
		want("count", len(first), count),
		want("count by hash", len(second), count),
		want("receipts' root", root, header.ReceiptHash),
		want("bloom", types.MergeBloom(first), header.Bloom),
	)
}

// readOurBlock: ethclient knows no such transaction and refuses the block. The header, the
// receipts, the hashes, the raw block and a type of the caller's own are the ways to read it.
func readOurBlock(w *world) error {
	at := w.Blocks[ours[0]]
	_, err := w.eth.BlockByNumber(w.ctx, number(at))
	if !errors.Is(err, types.ErrTxTypeNotSupported) {
		return fmt.Errorf("%v, not %w", err, types.ErrTxTypeNotSupported)
	}
	_, _, err = w.eth.TransactionByHash(w.ctx, w.Hashes[ours[1]])
	if !errors.Is(err, types.ErrTxTypeNotSupported) {
		return fmt.Errorf("%v, not %w", err, types.ErrTxTypeNotSupported)
	}
	var block struct {
		Hash         common.Hash
		Transactions []json.RawMessage
	}
	err = w.eth.Client().CallContext(w.ctx, &block, "eth_getBlockByNumber", hexutil.Uint64(at), true)
	if err != nil {
		return err
	}
	known, unknown := 0, 0
	for _, text := range block.Transactions {
		if json.Unmarshal(text, new(types.Transaction)) == nil {
			known++
			continue
		}
		var seen struct {
			Type        hexutil.Uint64
			Hash        common.Hash
			From        common.Address
			To          *common.Address
			Value       *hexutil.Big
			Gas         hexutil.Uint64
			FeeToken    *common.Address
			FeeCurrency *common.Address
		}
		if err := json.Unmarshal(text, &seen); err != nil {
			return err
		}
		if seen.FeeToken == nil && seen.FeeCurrency == nil {
			return fmt.Errorf("type %d has no token", seen.Type)
		}
		unknown++
	}
	return all(want("unknown", unknown, 2), want("known", known, 0))
}

func readTags(w *world) error {
	for _, tag := range []rpc.BlockNumber{
		rpc.EarliestBlockNumber, rpc.SafeBlockNumber, rpc.FinalizedBlockNumber,
		rpc.LatestBlockNumber, rpc.PendingBlockNumber,
	} {
		header, err := w.eth.HeaderByNumber(w.ctx, big.NewInt(tag.Int64()))
		if err != nil {
			return fmt.Errorf("%s: %w", tag, err)
		}
		block, err := w.eth.BlockByNumber(w.ctx, big.NewInt(tag.Int64()))
		if err != nil {
			return fmt.Errorf("%s: %w", tag, err)
		}
		if err := want(tag.String(), block.Number(), header.Number); err != nil {
			return err
		}
		if _, err := w.eth.BalanceAt(w.ctx, w.addresses[0], big.NewInt(tag.Int64())); err != nil {
			return fmt.Errorf("balance at %s: %w", tag, err)
		}
	}
	return nil
}

func readTransactions(w *world) error {
	for name, hash := range w.Hashes {
		if name == ours[0] || name == ours[1] {
			continue
		}
		transaction, pending, err := w.eth.TransactionByHash(w.ctx, hash)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		receipt, err := w.eth.TransactionReceipt(w.ctx, hash)
		if err != nil {
			return fmt.Errorf("receipt of %s: %w", name, err)
		}
		index := receipt.TransactionIndex
		placed, err := w.eth.TransactionInBlock(w.ctx, receipt.BlockHash, index)
		if err != nil {
			return fmt.Errorf("%s in its block: %w", name, err)
		}
		sender, err := w.eth.TransactionSender(w.ctx, placed, receipt.BlockHash, index)
		if err != nil {
			return err
		}
		recovered, err := types.Sender(types.LatestSignerForChainID(w.chain), transaction)
		if err != nil {
			return fmt.Errorf("signature of %s: %w", name, err)
		}
		if err := all(
			want("hash", transaction.Hash(), hash), want("in block", placed.Hash(), hash),
			want("pending", pending, false), want("sender", sender, recovered),
			want("type", transaction.Type(), receipt.Type),
		); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func readReceipts(w *world) error {
	reverted := map[string]bool{"reverted": true, "halted": true, "failed creation": true}
	for name, hash := range w.Hashes {
		receipt, err := w.eth.TransactionReceipt(w.ctx, hash)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		status := types.ReceiptStatusSuccessful
		if reverted[name] {
			status = types.ReceiptStatusFailed
		}
		if err := all(
			want("hash", receipt.TxHash, hash), want("status", receipt.Status, status),
			want("block", receipt.BlockNumber, w.Blocks[name]),
			want("bloom", types.CreateBloom(receipt), receipt.Bloom),
		); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if receipt.EffectiveGasPrice == nil || receipt.EffectiveGasPrice.Sign() == 0 {
			return fmt.Errorf("%s: no price", name)
		}
	}
	blob, _ := w.eth.TransactionReceipt(w.ctx, w.Hashes["blob"])
	created, _ := w.eth.TransactionReceipt(w.ctx, w.Hashes["creation"])
	return all(
		want("blob gas", blob.BlobGasUsed, 2*131072), want("blob price", blob.BlobGasPrice, 1),
		want("created", created.ContractAddress, w.Contract),
	)
}

func readNothing(w *world) error {
	missing := common.HexToHash("0x99")
	_, first := w.eth.BlockByHash(w.ctx, missing)
	_, second := w.eth.BlockByNumber(w.ctx, big.NewInt(1<<40))
	_, third := w.eth.HeaderByHash(w.ctx, missing)
	_, _, fourth := w.eth.TransactionByHash(w.ctx, missing)
	_, fifth := w.eth.TransactionReceipt(w.ctx, missing)
	_, sixth := w.eth.TransactionInBlock(w.ctx, missing, 0)
	_, seventh := w.eth.BlockReceipts(w.ctx, rpc.BlockNumberOrHashWithHash(missing, false))
	for place, err := range []error{first, second, third, fourth, fifth, sixth, seventh} {
		if !errors.Is(err, ethereum.NotFound) {
			return fmt.Errorf("%d: %v", place, err)
		}
	}
	_, err := w.eth.BalanceAtHash(w.ctx, w.addresses[0], missing)
	return failing(err, "not found")
}

func readLogs(w *world) error {
	header, err := w.eth.HeaderByNumber(w.ctx, number(w.Blocks["logs"]))
	if err != nil {
		return err
	}
	hash := header.Hash()
	topic := common.BytesToHash(word(7))
	inBlock, first := w.eth.FilterLogs(w.ctx, ethereum.FilterQuery{BlockHash: &hash})
	everywhere, second := w.eth.FilterLogs(w.ctx, ethereum.FilterQuery{
		FromBlock: common.Big0, Addresses: []common.Address{w.Contract},
		Topics: [][]common.Hash{{topic, {1}}},
	})
	nowhere, third := w.eth.FilterLogs(w.ctx, ethereum.FilterQuery{
		FromBlock: common.Big0, ToBlock: header.Number, Topics: [][]common.Hash{{}, {topic}},
	})
	if err := all(first, second, third); err != nil {
		return err
	}
	_, far := w.eth.FilterLogs(w.ctx, ethereum.FilterQuery{FromBlock: number(9), ToBlock: number(8)})
	return all(
		want("in the block", len(inBlock), 2), want("nowhere", len(nowhere), 0),
		want("topic", inBlock[0].Topics[0], topic), want("index", inBlock[1].Index, 1),
		want("transaction", inBlock[0].TxHash, w.Hashes["logs"]),
		want("time", inBlock[0].BlockTimestamp, header.Time),
		want("more", len(everywhere) >= 4, true), failing(far, "invalid block range"),
	)
}

func readFees(w *world) error {
	price, first := w.eth.SuggestGasPrice(w.ctx)
	tip, second := w.eth.SuggestGasTipCap(w.ctx)
	blob, third := w.eth.BlobBaseFee(w.ctx)
	history, fourth := w.eth.FeeHistory(w.ctx, 5, nil, []float64{10, 50.5, 90})
	short, fifth := w.eth.FeeHistory(w.ctx, 3, big.NewInt(4), nil)
	if err := all(first, second, third, fourth, fifth); err != nil {
		return err
	}
	return all(
		want("price", price.Sign(), 1), want("tip", tip.Sign() >= 0, true),
		want("blob fee", blob, 1), want("base fees", len(history.BaseFee), 6),
		want("rewards", len(history.Reward), 5), want("each", len(history.Reward[0]), 3),
		want("ratios", len(history.GasUsedRatio), 5), want("oldest", short.OldestBlock, 2),
		want("no rewards", len(short.Reward), 0),
	)
}

func readBatch(w *world) error {
	var chain, balance hexutil.Big
	var header *types.Header
	batch := []rpc.BatchElem{
		{Method: "eth_chainId", Result: &chain},
		{Method: "eth_getBalance", Args: []any{w.addresses[0], "latest"}, Result: &balance},
		{Method: "eth_getBlockByNumber", Args: []any{"0x1", false}, Result: &header},
		{Method: "eth_nothing", Result: new(string)},
		{Method: "eth_getBalance", Args: []any{"0x12"}, Result: &balance},
	}
	if err := w.eth.Client().BatchCallContext(w.ctx, batch); err != nil {
		return err
	}
	return all(
		batch[0].Error, batch[1].Error, batch[2].Error,
		want("chain", chain.ToInt(), w.chain), want("header", header.Number, 1),
		failing(batch[3].Error, "does not exist"), failing(batch[4].Error, "invalid argument 0"),
		want("code", batch[3].Error.(rpc.Error).ErrorCode(), -32601),
		want("code", batch[4].Error.(rpc.Error).ErrorCode(), -32602),
	)
}

func readNetwork(w *world) error {
	network, first := w.eth.NetworkID(w.ctx)
	progress, second := w.eth.SyncProgress(w.ctx)
	_, third := w.eth.PeerCount(w.ctx)
	modules, fourth := w.eth.Client().SupportedModules()
	if err := all(first, second, third, fourth); err != nil {
		return err
	}
	return all(
		want("network", network, w.chain), want("syncing", progress == nil, true),
		want("eth", modules["eth"], "1.0"), want("debug", modules["debug"], "1.0"),
	)
}
