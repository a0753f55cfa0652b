package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient/gethclient"
	"github.com/ethereum/go-ethereum/rpc"
)

// Subscriptions over WebSocket.
var listens = []check{
	{"hears of blocks, logs, receipts and what waits", listen},
	{"is refused a subscription over HTTP", refusedOverHTTP},
	{"ends and begins subscriptions", again},
}

// signedToken puts a token of the Engine API's kind on each request.
func signedToken(secret [32]byte) rpc.HTTPAuth {
	return func(header http.Header) error {
		plain := base64.RawURLEncoding
		claims := fmt.Sprintf(`{"iat":%d}`, time.Now().Unix())
		text := plain.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + plain.EncodeToString([]byte(claims))
		mac := hmac.New(sha256.New, secret[:])
		mac.Write([]byte(text))
		header.Set("Authorization", "Bearer "+text+"."+plain.EncodeToString(mac.Sum(nil)))
		return nil
	}
}

func next[T any](w *world, what string, events <-chan T, heard ethereum.Subscription) (T, error) {
	var nothing T
	select {
	case event := <-events:
		return event, nil
	case err := <-heard.Err():
		return nothing, fmt.Errorf("%s: the subscription ended: %v", what, err)
	case <-w.ctx.Done():
		return nothing, fmt.Errorf("%s: nothing came", what)
	}
}

func listen(w *world) error {
	pool := gethclient.New(w.socket.Client())
	heads, logs := make(chan *types.Header, 64), make(chan types.Log, 64)
	hashes, whole := make(chan common.Hash, 64), make(chan *types.Transaction, 64)
	every, some := make(chan []*types.Receipt, 64), make(chan []*types.Receipt, 64)
	options := w.transactor(0)
	options.NoSend = true
	sent, err := w.bound.Transact(options, "transfer", w.addresses[1], big.NewInt(5))
	if err != nil {
		return err
	}
	of := &ethereum.TransactionReceiptsQuery{TransactionHashes: []common.Hash{sent.Hash()}}
	tokens := ethereum.FilterQuery{Addresses: []common.Address{w.token}}
	onHead, first := w.socket.SubscribeNewHead(w.ctx, heads)
	onLog, second := w.socket.SubscribeFilterLogs(w.ctx, tokens, logs)
	onHash, third := pool.SubscribePendingTransactions(w.ctx, hashes)
	onWhole, fourth := pool.SubscribeFullPendingTransactions(w.ctx, whole)
	onEvery, fifth := w.socket.SubscribeTransactionReceipts(w.ctx, nil, every)
	onSome, sixth := w.socket.SubscribeTransactionReceipts(w.ctx, of, some)
	if err := all(first, second, third, fourth, fifth, sixth); err != nil {
		return err
	}
	for _, heard := range []ethereum.Subscription{onHead, onLog, onHash, onWhole, onEvery, onSome} {
		defer heard.Unsubscribe()
	}
	receipt, err := w.succeeded(sent, w.eth.SendTransaction(w.ctx, sent))
	if err != nil {
		return err
	}
	hash, first := next(w, "hash", hashes, onHash)
	transaction, second := next(w, "transaction", whole, onWhole)
	head, third := next(w, "head", heads, onHead)
	log, fourth := next(w, "log", logs, onLog)
	receipts, fifth := next(w, "receipts", every, onEvery)
	chosen, sixth := next(w, "chosen receipts", some, onSome)
	if err := all(first, second, third, fourth, fifth, sixth); err != nil {
		return err
	}
	return all(
		want("hash", hash, sent.Hash()), want("transaction", transaction.Hash(), sent.Hash()),
		want("head", head.Hash(), receipt.BlockHash), want("log", log.TxHash, sent.Hash()),
		want("log's block", log.BlockHash, receipt.BlockHash), want("removed", log.Removed, false),
		want("receipts", receipts[0].TxHash, sent.Hash()), want("chosen", len(chosen), 1),
		want("gas", chosen[0].GasUsed, receipt.GasUsed),
	)
}

func refusedOverHTTP(w *world) error {
	_, err := w.eth.SubscribeNewHead(w.ctx, make(chan *types.Header))
	return failing(err, "notifications not supported")
}

func again(w *world) error {
	for round := range 20 {
		heads := make(chan *types.Header, 4)
		heard, err := w.socket.SubscribeNewHead(w.ctx, heads)
		if err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		if err := w.socket.Client().CallContext(w.ctx, nil, "evm_mine"); err != nil {
			return err
		}
		if _, err := next(w, "head", heads, heard); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		heard.Unsubscribe()
	}
	return nil
}
