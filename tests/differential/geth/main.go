// Runs go-ethereum's tracers over one transaction after another: a JSON object a line on standard
// input (alloc, context, input, fork, settled, tracers), an array of answers a line on standard output.
//
// It is built inside a checkout of go-ethereum (1.17), as cmd/ghost-tracers/main.go:
//
//	go build -o geth-tracers ./cmd/ghost-tracers
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/big"
	"os"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/math"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/state"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/eth/tracers"
	_ "github.com/ethereum/go-ethereum/eth/tracers/js"
	"github.com/ethereum/go-ethereum/eth/tracers/logger"
	_ "github.com/ethereum/go-ethereum/eth/tracers/native"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/tests"
)

type place struct {
	Number     math.HexOrDecimal64   `json:"number"`
	Difficulty *math.HexOrDecimal256 `json:"difficulty"`
	Time       math.HexOrDecimal64   `json:"timestamp"`
	GasLimit   math.HexOrDecimal64   `json:"gasLimit"`
	Miner      common.Address        `json:"miner"`
	BaseFee    *math.HexOrDecimal256 `json:"baseFeePerGas"`
}

type wanted struct {
	Name   string          `json:"name"`
	Config json.RawMessage `json:"config"`
}

type question struct {
	Alloc   types.GenesisAlloc `json:"alloc"`
	ChainID uint64             `json:"chainId"`
	Context place              `json:"context"`
	Input   string             `json:"input"`
	Fork    string             `json:"fork"`
	Settled bool               `json:"settled"`
	Tracers []wanted           `json:"tracers"`
}

type answer struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
}

func chainConfig(fork string, id uint64) *params.ChainConfig {
	config := *params.MergedTestChainConfig
	config.ChainID = new(big.Int).SetUint64(id)
	config.BlobScheduleConfig = params.DefaultBlobSchedule
	if fork == "cancun" {
		config.PragueTime = nil
	}
	if fork != "osaka" {
		config.OsakaTime = nil
	}
	return &config
}

func newTracer(w wanted, config *params.ChainConfig) (*tracers.Tracer, error) {
	if w.Name != "" {
		settings := w.Config
		if len(settings) == 0 || string(settings) == "null" {
			settings = json.RawMessage("{}")
		}
		return tracers.DefaultDirectory.New(w.Name, new(tracers.Context), settings, config)
	}
	var settings logger.Config
	if len(w.Config) != 0 {
		if err := json.Unmarshal(w.Config, &settings); err != nil {
			return nil, err
		}
	}
	made := logger.NewStructLogger(&settings)
	return &tracers.Tracer{Hooks: made.Hooks(), GetResult: made.GetResult, Stop: made.Stop}, nil
}

func trace(q *question, w wanted) (result json.RawMessage, err error) {
	defer func() {
		if caught := recover(); caught != nil {
			err = fmt.Errorf("panic: %v", caught)
		}
	}()
	config := chainConfig(q.Fork, q.ChainID)
	tx := new(types.Transaction)
	if err := tx.UnmarshalBinary(common.FromHex(q.Input)); err != nil {
		return nil, err
	}
	number := new(big.Int).SetUint64(uint64(q.Context.Number))
	baseFee := new(big.Int)
	if q.Context.BaseFee != nil {
		baseFee = (*big.Int)(q.Context.BaseFee)
	}
	random := common.BigToHash((*big.Int)(q.Context.Difficulty))
	block := vm.BlockContext{
		CanTransfer: core.CanTransfer,
		Transfer:    core.Transfer,
		GetHash:     func(uint64) common.Hash { return common.Hash{} },
		Coinbase:    q.Context.Miner,
		BlockNumber: number,
		Time:        uint64(q.Context.Time),
		Difficulty:  new(big.Int),
		Random:      &random,
		GasLimit:    max(uint64(q.Context.GasLimit), tx.Gas()),
		BaseFee:     baseFee,
		BlobBaseFee: big.NewInt(1),
	}
	before := tests.MakePreState(rawdb.NewMemoryDatabase(), q.Alloc, false, rawdb.HashScheme)
	before.Close()
	tracer, err := newTracer(w, config)
	if err != nil {
		return nil, err
	}
	signer := types.MakeSigner(config, number, uint64(q.Context.Time))
	message, err := core.TransactionToMessage(tx, signer, baseFee)
	if err != nil {
		return nil, err
	}
	hooked := state.NewHookedState(before.StateDB, tracer.Hooks)
	evm := vm.NewEVM(block, hooked, config, vm.Config{Tracer: tracer.Hooks})
	if tracer.OnTxStart != nil {
		tracer.OnTxStart(evm.GetVMContext(), tx, message.From)
	}
	outcome, err := core.ApplyMessage(evm, message, nil)
	if err != nil {
		return nil, err
	}
	if q.Settled { // as when a node is asked; geth's own test cases are not
		before.StateDB.Finalise(evm.GetRules())
	}
	if tracer.OnTxEnd != nil {
		tracer.OnTxEnd(&types.Receipt{GasUsed: outcome.UsedGas}, nil)
	}
	return tracer.GetResult()
}

func main() {
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var asked question
		if err := json.Unmarshal(line, &asked); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		answers := make([]answer, 0, len(asked.Tracers))
		for _, w := range asked.Tracers {
			result, err := trace(&asked, w)
			if err != nil {
				answers = append(answers, answer{Error: err.Error()})
			} else {
				answers = append(answers, answer{Result: result})
			}
		}
		encoded, _ := json.Marshal(answers)
		fmt.Println(string(encoded))
	}
}
