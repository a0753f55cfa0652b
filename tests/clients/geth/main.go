// Drives a node with go-ethereum's own clients: ethclient, gethclient, rpc, accounts/abi/bind.
//
// Usage: geth facts.json
//
// The facts say where a node is and what is on its chain (tests/node/typed_clients.py writes them).
// One line of JSON for each check, {"name": …, "pass": …, "reason": …}; exit code 1 when one failed.
package main

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/ethclient/gethclient"
	"github.com/ethereum/go-ethereum/rpc"
)

const patience = 60 * time.Second

// facts is what the test says of the node and of its chain.
type facts struct {
	HTTP      string                 `json:"http"`
	WebSocket string                 `json:"ws"`
	Socket    string                 `json:"ipc"`
	Secret    string                 `json:"secret"`
	Keys      []string               `json:"keys"`
	Contract  common.Address         `json:"contract"`
	Hashes    map[string]common.Hash `json:"hashes"`
	Blocks    map[string]uint64      `json:"blocks"`
	Token     struct {
		ABI      json.RawMessage `json:"abi"`
		Bytecode string          `json:"bytecode"`
	} `json:"token"`
}

// world is the facts with a client on each of the node's doors.
type world struct {
	facts
	ctx       context.Context
	eth       *ethclient.Client
	geth      *gethclient.Client
	socket    *ethclient.Client
	keys      []*ecdsa.PrivateKey
	addresses []common.Address
	chain     *big.Int
	signer    types.Signer
	abi       abi.ABI
	token     common.Address
	bound     *bind.BoundContract
}

type check struct {
	name string
	run  func(*world) error
}

func main() {
	w, err := open(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	failed := 0
	for _, group := range [][]check{reads, states, contracts, sends, traces, listens} {
		for _, one := range group {
			if !show(w, one) {
				failed++
			}
		}
	}
	if failed > 0 {
		os.Exit(1)
	}
}

func show(w *world, one check) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	w.ctx = ctx
	outcome := map[string]any{"name": one.name, "pass": true}
	if err := guarded(one, w); err != nil {
		outcome["pass"], outcome["reason"] = false, err.Error()
	}
	line, _ := json.Marshal(outcome)
	fmt.Println(string(line))
	return outcome["pass"] == true
}

func guarded(one check, w *world) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("panic: %v", fault)
		}
	}()
	return one.run(w)
}

func open(path string) (*world, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	w := &world{ctx: context.Background()}
	if err := json.Unmarshal(text, &w.facts); err != nil {
		return nil, err
	}
	client, err := rpc.DialContext(w.ctx, w.HTTP)
	if err != nil {
		return nil, err
	}
	w.eth, w.geth = ethclient.NewClient(client), gethclient.New(client)
	if w.socket, err = ethclient.DialContext(w.ctx, w.WebSocket); err != nil {
		return nil, err
	}
	if w.chain, err = w.eth.ChainID(w.ctx); err != nil {
		return nil, err
	}
	w.signer = types.LatestSignerForChainID(w.chain)
	for _, text := range w.Keys {
		key, err := crypto.HexToECDSA(strings.TrimPrefix(text, "0x"))
		if err != nil {
			return nil, err
		}
		w.keys = append(w.keys, key)
		w.addresses = append(w.addresses, crypto.PubkeyToAddress(key.PublicKey))
	}
	w.abi, err = abi.JSON(strings.NewReader(string(w.Token.ABI)))
	return w, err
}

// transactor signs as the holder of a key, with everything else found out from the node.
func (w *world) transactor(key int) *bind.TransactOpts {
	options := bind.NewKeyedTransactor(w.keys[key], w.chain)
	options.Context = w.ctx
	return options
}

func (w *world) mined(hash common.Hash) (*types.Receipt, error) {
	return bind.WaitMined(w.ctx, w.eth, hash)
}

// succeeded waits for a transaction, which must have status 1.
func (w *world) succeeded(transaction *types.Transaction, err error) (*types.Receipt, error) {
	if err != nil {
		return nil, err
	}
	receipt, err := w.mined(transaction.Hash())
	if err == nil && receipt.Status != types.ReceiptStatusSuccessful {
		err = fmt.Errorf("status %d", receipt.Status)
	}
	return receipt, err
}

func number(value uint64) *big.Int { return new(big.Int).SetUint64(value) }

func word(value int64) []byte { return common.LeftPadBytes(big.NewInt(value).Bytes(), 32) }

func bytecode(text string) []byte { return hexutil.MustDecode("0x" + strings.TrimPrefix(text, "0x")) }

// want is an error unless two values are the same when written out.
func want(what string, got, wanted any) error {
	if fmt.Sprint(got) != fmt.Sprint(wanted) {
		return fmt.Errorf("%s: %v, not %v", what, got, wanted)
	}
	return nil
}

// all is the first of its errors, each with its place in the list.
func all(outcomes ...error) error {
	for place, err := range outcomes {
		if err != nil {
			return fmt.Errorf("%d: %w", place, err)
		}
	}
	return nil
}

// failing is an error unless one was met and says this.
func failing(err error, said string) error {
	if err == nil {
		return errors.New("it should have failed: " + said)
	}
	if !strings.Contains(err.Error(), said) {
		return fmt.Errorf("%q does not say %q", err, said)
	}
	return nil
}
