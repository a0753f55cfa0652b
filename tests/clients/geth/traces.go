package main

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/eth/tracers"
	"github.com/ethereum/go-ethereum/eth/tracers/logger"
	"github.com/ethereum/go-ethereum/ethclient/gethclient"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/rpc"
)

// What gethclient traces, and what geth's debug namespace gives raw.
var traces = []check{
	{"traces transactions and blocks", traceStructs},
	{"traces with each of geth's tracers", traceNamed},
	{"traces calls with typed frames", traceCalls},
	{"traces calls with overrides", traceOverridden},
	{"reads raw headers, blocks, transactions and receipts", readRaw},
	{"reads the node with a token and over its socket", operate},
	{"takes blocks back", setHead},
}

func traceStructs(w *world) error {
	for name, hash := range w.Hashes {
		memory := &tracers.TraceConfig{Config: &logger.Config{EnableMemory: true, Limit: 0}}
		for _, config := range []*tracers.TraceConfig{nil, {}, memory} {
			result, err := w.geth.TraceTransaction(w.ctx, hash, config)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if _, found := result.(map[string]any)["structLogs"]; !found {
				return fmt.Errorf("%s: %v", name, result)
			}
		}
	}
	header, err := w.eth.HeaderByNumber(w.ctx, number(w.Blocks["ghost"]))
	if err != nil {
		return err
	}
	block, err := w.geth.TraceBlock(w.ctx, header.Hash(), nil)
	return all(err, want("transactions", len(block.([]any)), 2))
}

func traceNamed(w *world) error {
	wait := "5s"
	for _, name := range []string{
		"callTracer", "flatCallTracer", "prestateTracer", "4byteTracer", "noopTracer",
		"erc7562Tracer", "muxTracer",
	} {
		config := &tracers.TraceConfig{Tracer: &name, Timeout: &wait}
		if name == "muxTracer" {
			config.TracerConfig = json.RawMessage(`{"callTracer": {"withLog": true}, "4byteTracer": null}`)
		}
		if name == "prestateTracer" {
			config.TracerConfig = json.RawMessage(`{"diffMode": true}`)
		}
		for _, hash := range w.Hashes {
			if _, err := w.geth.TraceTransaction(w.ctx, hash, config); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	unknown := "nothingTracer"
	_, err := w.geth.TraceTransaction(w.ctx, w.Hashes["logs"], &tracers.TraceConfig{Tracer: &unknown})
	_, missing := w.geth.TraceTransaction(w.ctx, common.Hash{9}, nil)
	return all(failing(err, "nothingTracer"), failing(missing, "transaction not found"))
}

func traceCalls(w *world) error {
	for name, hash := range w.Hashes {
		config := &gethclient.CallTracerConfig{WithLog: true, Timeout: time.Second}
		frame, err := w.geth.TraceTransactionWithCallTracer(w.ctx, hash, config)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		receipt, err := w.eth.TransactionReceipt(w.ctx, hash)
		if err != nil {
			return err
		}
		if err := all(
			want("gas", frame.GasUsed, receipt.GasUsed),
			want("failed", frame.Error != "", receipt.Status == 0),
		); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	frame, err := w.geth.TraceTransactionWithCallTracer(
		w.ctx, w.Hashes["more logs"], &gethclient.CallTracerConfig{WithLog: true},
	)
	return all(
		err, want("kind", frame.Type, "CALL"), want("to", *frame.To, w.Contract),
		want("logs", len(frame.Logs), 1), want("index", frame.Logs[0].Index, 1),
		want("output", frame.Output, word(42)), want("value", frame.Value, 0),
	)
}

func traceOverridden(w *world) error {
	latest := rpc.BlockNumberOrHashWithNumber(rpc.LatestBlockNumber)
	other := common.Address{0x55}
	overrides := map[common.Address]gethclient.OverrideAccount{other: {Code: bytecode("4360005260206000f3")}}
	message := w.message(nil)
	message.To = &other
	block := &gethclient.BlockOverrides{Number: big.NewInt(1234)}
	frame, err := w.geth.TraceCallWithCallTracer(w.ctx, message, latest, overrides, block, nil)
	if err != nil {
		return err
	}
	reverted, err := w.geth.TraceCallWithCallTracer(
		w.ctx, w.message([]byte{0xab}), latest, nil, nil, &gethclient.CallTracerConfig{OnlyTopCall: true},
	)
	return all(
		err, want("number", frame.Output, word(1234)), want("to", *frame.To, other),
		want("error", reverted.Error, "execution reverted"),
	)
}

func readRaw(w *world) error {
	client := w.eth.Client()
	for name, at := range w.Blocks {
		var header, block hexutil.Bytes
		var receipts []hexutil.Bytes
		if err := all(
			client.CallContext(w.ctx, &header, "debug_getRawHeader", hexutil.Uint64(at)),
			client.CallContext(w.ctx, &block, "debug_getRawBlock", hexutil.Uint64(at)),
			client.CallContext(w.ctx, &receipts, "debug_getRawReceipts", hexutil.Uint64(at)),
		); err != nil {
			return err
		}
		decoded, known := new(types.Header), new(types.Block)
		if err := rlp.DecodeBytes(header, decoded); err != nil {
			return fmt.Errorf("header of %s: %w", name, err)
		}
		read, err := w.eth.HeaderByNumber(w.ctx, number(at))
		if err != nil {
			return err
		}
		if err := want("hash", decoded.Hash(), read.Hash()); err != nil {
			return err
		}
		if at == w.Blocks["ghost"] {
			continue
		}
		if err := rlp.DecodeBytes(block, known); err != nil {
			return fmt.Errorf("block of %s: %w", name, err)
		}
		for _, raw := range receipts {
			if err := new(types.Receipt).UnmarshalBinary(raw); err != nil {
				return fmt.Errorf("receipt of %s: %w", name, err)
			}
		}
	}
	return nil
}

// operate asks what only the operator may: over the unix socket, and over HTTP with a token.
func operate(w *world) error {
	local, err := rpc.DialIPC(w.ctx, w.Socket)
	if err != nil {
		return err
	}
	defer local.Close()
	secret := [32]byte(common.FromHex(w.Secret))
	remote, err := rpc.DialOptions(w.ctx, w.HTTP, rpc.WithHTTPAuth(signedToken(secret)))
	if err != nil {
		return err
	}
	defer remote.Close()
	for _, client := range []*rpc.Client{local, remote} {
		info, err := gethclient.New(client).GetNodeInfo(w.ctx)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(info.Name, "ghostd/") || info.Protocols["ghost"] == nil {
			return fmt.Errorf("node info lacks something: %+v", info)
		}
	}
	heads := make(chan *types.Header, 4)
	heard, err := local.EthSubscribe(w.ctx, heads, "newHeads")
	if err != nil {
		return err
	}
	defer heard.Unsubscribe()
	if err := local.CallContext(w.ctx, nil, "evm_mine"); err != nil {
		return err
	}
	select {
	case <-heads:
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
	_, refused := w.geth.GetNodeInfo(w.ctx)
	_, memory := w.geth.MemStats(w.ctx)
	_, collected := w.geth.GCStats(w.ctx)
	return all(
		failing(refused, "admin_nodeInfo"), failing(memory, "debug_memStats"),
		failing(collected, "debug_gcStats"),
	)
}

func setHead(w *world) error {
	head, err := w.eth.BlockNumber(w.ctx)
	if err != nil {
		return err
	}
	if err := w.geth.SetHead(w.ctx, number(head-1)); err != nil {
		return err
	}
	now, err := w.eth.BlockNumber(w.ctx)
	return all(err, want("head", now, head-1))
}
