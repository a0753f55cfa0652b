package main

import (
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"
)

// A contract as abigen binds it: deployed, called, sent to, its events and errors decoded.
var contracts = []check{
	{"deploys a token", deploy},
	{"calls it now, then and pending", callToken},
	{"sends to it with each kind of fee", sendToken},
	{"finds and hears its events", eventsOfToken},
	{"decodes its errors", errorsOfToken},
	{"mines what reverts", minedRevert},
	{"says what nothing stands at", nothingThere},
}

// transfer is the token's event, as abigen would write it.
type transfer struct {
	From  common.Address
	To    common.Address
	Value *big.Int
	Raw   *types.Log
}

func (transfer) ContractEventName() string { return "Transfer" }

func (w *world) transferOf(log *types.Log) (*transfer, error) {
	event := &transfer{Raw: log}
	return event, w.bound.UnpackLog(event, "Transfer", *log)
}

func deploy(w *world) error {
	arguments, err := w.abi.Pack("", big.NewInt(1000))
	if err != nil {
		return err
	}
	code := bytecode(w.Token.Bytecode)
	at, transaction, err := bind.DeployContract(w.transactor(0), code, w.eth, arguments)
	if err != nil {
		return err
	}
	found, err := bind.WaitDeployed(w.ctx, w.eth, transaction.Hash())
	if err != nil {
		return err
	}
	w.token = at
	w.bound = bind.NewBoundContract(at, w.abi, w.eth, w.eth, w.socket)
	if err := bind.WaitAccepted(w.ctx, w.eth, transaction.Hash()); err != nil {
		return err
	}
	return want("address", found, at)
}

func (w *world) read(options *bind.CallOpts, method string, params ...any) (any, error) {
	options.Context = w.ctx
	var results []any
	if err := w.bound.Call(options, &results, method, params...); err != nil {
		return nil, err
	}
	return results[0], nil
}

func callToken(w *world) error {
	receipt, err := w.succeeded(w.bound.Transact(w.transactor(0), "transfer", w.addresses[1], big.NewInt(7)))
	if err != nil {
		return err
	}
	before := new(big.Int).Sub(receipt.BlockNumber, common.Big1)
	header, err := w.eth.HeaderByNumber(w.ctx, before)
	if err != nil {
		return err
	}
	name, first := w.read(&bind.CallOpts{}, "name")
	balance, second := w.read(&bind.CallOpts{Pending: true}, "balanceOf", w.addresses[1])
	then, third := w.read(&bind.CallOpts{BlockNumber: before}, "balanceOf", w.addresses[1])
	byHash, fourth := w.read(&bind.CallOpts{BlockHash: header.Hash()}, "balanceOf", w.addresses[1])
	return all(
		first, second, third, fourth, want("name", name, "Ghost Token"),
		want("balance", balance, 7), want("then", then, 0), want("by hash", byHash, 0),
	)
}

func sendToken(w *world) error {
	legacy, listed, tipped := w.transactor(0), w.transactor(0), w.transactor(0)
	legacy.GasPrice = big.NewInt(5e9)
	listed.AccessList = types.AccessList{{Address: w.token}}
	tipped.GasFeeCap, tipped.GasTipCap = big.NewInt(9e9), big.NewInt(1e9)
	tipped.GasLimit = 200_000
	for place, options := range []*bind.TransactOpts{legacy, listed, tipped} {
		_, err := w.succeeded(w.bound.Transact(options, "transfer", w.addresses[1], big.NewInt(1)))
		if err != nil {
			return fmt.Errorf("%d: %w", place, err)
		}
	}
	packed, err := w.abi.Pack("transfer", w.addresses[1], big.NewInt(2))
	if err != nil {
		return err
	}
	if _, err := w.succeeded(bind.Transact(w.bound, w.transactor(0), packed)); err != nil {
		return err
	}
	unsent := w.transactor(0)
	unsent.NoSend = true
	transaction, err := w.bound.RawTransact(unsent, packed)
	if err != nil {
		return err
	}
	if _, _, err := w.eth.TransactionByHash(w.ctx, transaction.Hash()); err == nil {
		return errors.New("it was sent")
	}
	balance, err := w.read(&bind.CallOpts{}, "balanceOf", w.addresses[1])
	return all(err, want("balance", balance, 7+3+2))
}

func eventsOfToken(w *world) error {
	who := []any{w.addresses[1]}
	options := &bind.FilterOpts{Start: 0, Context: w.ctx}
	events, err := bind.FilterEvents(w.bound, options, w.transferOf, []any{w.addresses[0]}, who)
	if err != nil {
		return err
	}
	defer events.Close()
	values := []int64{}
	for events.Next() {
		values = append(values, events.Value().Value.Int64())
	}
	if err := all(events.Error(), want("values", values, []int64{7, 1, 1, 1, 2})); err != nil {
		return err
	}
	sink := make(chan *transfer, 4)
	heard, err := bind.WatchEvents(w.bound, &bind.WatchOpts{Context: w.ctx}, w.transferOf, sink, nil, who)
	if err != nil {
		return err
	}
	defer heard.Unsubscribe()
	receipt, err := w.succeeded(w.bound.Transact(w.transactor(0), "transfer", w.addresses[1], big.NewInt(4)))
	if err != nil {
		return err
	}
	select {
	case event := <-sink:
		return all(
			want("value", event.Value, 4), want("transaction", event.Raw.TxHash, receipt.TxHash),
			want("block", event.Raw.BlockNumber, receipt.BlockNumber),
		)
	case err := <-heard.Err():
		return fmt.Errorf("the subscription ended: %w", err)
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}

// errorOf is the revert data of a failed call.
func errorOf(err error) []byte {
	data, _ := ethclient.RevertErrorData(err)
	return data
}

func errorsOfToken(w *world) error {
	_, custom := w.read(&bind.CallOpts{From: w.addresses[0]}, "failWithError", big.NewInt(42))
	_, reason := w.read(&bind.CallOpts{}, "failWithReason", "no money")
	_, panicked := w.read(&bind.CallOpts{}, "failWithPanic")
	_, silent := w.read(&bind.CallOpts{}, "failWithoutReason")
	_, poor := w.bound.Transact(w.transactor(1), "transfer", w.addresses[0], big.NewInt(1e9))
	data := errorOf(custom)
	if len(data) < 4 {
		return fmt.Errorf("no data in %v", custom)
	}
	known, err := w.abi.ErrorByID([4]byte(data[:4]))
	if err != nil {
		return err
	}
	values, err := known.Inputs.Unpack(data[4:])
	if err != nil {
		return err
	}
	text, err := abi.UnpackRevert(errorOf(reason))
	if err != nil {
		return err
	}
	why, err := abi.UnpackRevert(errorOf(panicked))
	if err != nil {
		return err
	}
	balance, err := w.abi.ErrorByID([4]byte(errorOf(poor)[:4]))
	return all(
		err, want("error", known.Name, "Refused"), want("who", values[0], w.addresses[0]),
		want("code", values[1], 42), want("reason", text, "no money"),
		want("panic", why, "assert(false)"), want("poor", balance.Name, "ERC20InsufficientBalance"),
		failing(reason, "execution reverted: no money"), failing(silent, "execution reverted"),
	)
}

func minedRevert(w *world) error {
	options := w.transactor(0)
	options.GasLimit = 100_000
	transaction, err := w.bound.Transact(options, "failWithError", big.NewInt(1))
	if err != nil {
		return err
	}
	receipt, err := w.mined(transaction.Hash())
	if err != nil {
		return err
	}
	frame, err := w.geth.TraceTransactionWithCallTracer(w.ctx, transaction.Hash(), nil)
	if err != nil {
		return err
	}
	known, err := w.abi.ErrorByID([4]byte(frame.Output[:4]))
	return all(
		err, want("status", receipt.Status, 0), want("error", known.Name, "Refused"),
		want("says", frame.Error, "execution reverted"),
	)
}

func nothingThere(w *world) error {
	nowhere := bind.NewBoundContract(common.Address{0x99}, w.abi, w.eth, w.eth, w.eth)
	var results []any
	err := nowhere.Call(&bind.CallOpts{Context: w.ctx}, &results, "name")
	_, sent := nowhere.Transact(w.transactor(0), "transfer", w.addresses[1], common.Big1)
	if !errors.Is(err, bind.ErrNoCode) || !errors.Is(sent, bind.ErrNoCode) {
		return fmt.Errorf("%v and %v, not %w", err, sent, bind.ErrNoCode)
	}
	return nil
}
