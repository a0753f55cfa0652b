import static org.web3j.protocol.core.DefaultBlockParameter.valueOf;
import static org.web3j.protocol.core.DefaultBlockParameterName.EARLIEST;
import static org.web3j.protocol.core.DefaultBlockParameterName.FINALIZED;
import static org.web3j.protocol.core.DefaultBlockParameterName.LATEST;
import static org.web3j.protocol.core.DefaultBlockParameterName.PENDING;
import static org.web3j.protocol.core.DefaultBlockParameterName.SAFE;

import com.fasterxml.jackson.databind.JsonNode;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.web3j.protocol.Web3j;
import org.web3j.protocol.core.BatchResponse;
import org.web3j.protocol.core.DefaultBlockParameter;
import org.web3j.protocol.core.methods.request.EthFilter;
import org.web3j.protocol.core.methods.request.Transaction;
import org.web3j.protocol.core.methods.response.EthBlock;
import org.web3j.protocol.core.methods.response.EthCall;
import org.web3j.protocol.core.methods.response.EthFeeHistory;
import org.web3j.protocol.core.methods.response.EthGetProof;
import org.web3j.protocol.core.methods.response.Log;
import org.web3j.protocol.core.methods.response.TransactionReceipt;
import org.web3j.protocol.http.HttpService;
import org.web3j.protocol.parity.Parity;
import org.web3j.protocol.parity.methods.request.TraceFilter;
import org.web3j.protocol.parity.methods.response.FullTraceInfo;
import org.web3j.protocol.parity.methods.response.Trace;

/** Blocks, transactions, receipts, logs, state, proofs, fees, Parity's traces. */
final class Reading {
    static final Web3j WEB3 = Web3j.build(new HttpService(Checks.url("http")));
    static final Parity PARITY = Parity.build(new HttpService(Checks.url("http")));

    static void addTo(Map<String, Checks.Check> checks) {
        checks.put("reads the node and its network", Reading::network);
        checks.put("reads every block, whole and with hashes", Reading::blocks);
        checks.put("reads the block of each tag", Reading::tags);
        checks.put("reads transactions and receipts of each type", Reading::transactions);
        checks.put("says what is not found", Reading::nothing);
        checks.put("reads state of now and of then", Reading::state);
        checks.put("calls, estimates and gets the reason of a revert", Reading::calls);
        checks.put("finds logs and keeps filters", Reading::logs);
        checks.put("reads proofs", Reading::proofs);
        checks.put("reads fees", Reading::fees);
        checks.put("asks in batches", Reading::batch);
        checks.put("traces as Parity does", Reading::traces);
    }

    static void network() throws Exception {
        Checks.holds(Checks.good(WEB3.web3ClientVersion().send()).getWeb3ClientVersion().contains("ghostd"), "name");
        String hashed = Checks.good(WEB3.web3Sha3("0x68656c6c6f").send()).getResult();
        Checks.same(hashed, "0x1c8aff950685c2ed4bc3174f3472287b56d9517b9c948127319a09a7a36deac8");
        Checks.same(Checks.good(WEB3.netVersion().send()).getNetVersion(), "31337");
        Checks.same(Checks.good(WEB3.netListening().send()).isListening(), true);
        Checks.good(WEB3.netPeerCount().send()).getQuantity();
        Checks.same(Checks.good(WEB3.ethChainId().send()).getChainId(), Checks.number(31337));
        Checks.same(Checks.good(WEB3.ethSyncing().send()).isSyncing(), false);
        Checks.good(WEB3.ethMining().send()).isMining();
        Checks.good(WEB3.ethCoinbase().send()).getAddress();
        Checks.holds(Checks.good(WEB3.ethAccounts().send()).getAccounts().contains(Checks.who.get(0)), "accounts");
        Checks.holds(Checks.good(WEB3.ethProtocolVersion().send()).getProtocolVersion() != null, "protocol");
        Checks.good(WEB3.ethHashrate().send()).getHashrate();
        Checks.bad(WEB3.adminPeers().send(), -32601, "admin_peers");
    }

    static void blocks() throws Exception {
        long head = Checks.good(WEB3.ethBlockNumber().send()).getBlockNumber().longValue();
        for (long at = 0; at <= head; at++) {
            DefaultBlockParameter number = valueOf(Checks.number(at));
            EthBlock.Block whole = Checks.good(WEB3.ethGetBlockByNumber(number, true).send()).getBlock();
            EthBlock.Block hashes = Checks.good(WEB3.ethGetBlockByHash(whole.getHash(), false).send()).getBlock();
            Checks.same(whole.getNumber(), Checks.number(at));
            Checks.same(whole.getGasUsed(), hashes.getGasUsed());
            Checks.holds(whole.getBaseFeePerGas().signum() > 0 && whole.getSize().signum() > 0, at);
            Checks.same(whole.getNonce(), BigInteger.ZERO);
            Checks.holds(whole.getExcessBlobGas() != null && whole.getWithdrawalsRoot() != null, at);
            whole.getWithdrawals().forEach(paid -> Checks.holds(paid.getAddress().length() == 42, paid));
            int count = whole.getTransactions().size();
            Checks.same(hashes.getTransactions().size(), count);
            for (int place = 0; place < count; place++) {
                EthBlock.TransactionObject sent = (EthBlock.TransactionObject) whole.getTransactions().get(place).get();
                Checks.same(sent.getHash(), hashes.getTransactions().get(place).get());
                Checks.same(sent.getTransactionIndex(), Checks.number(place));
                Checks.holds(sent.getGas().signum() > 0 && sent.getNonce().signum() >= 0 && sent.getV() >= 0, sent);
            }
            List<TransactionReceipt> receipts =
                    Checks.good(WEB3.ethGetBlockReceipts(number).send()).getBlockReceipts().orElseThrow();
            Checks.same(receipts.size(), count);
            BigInteger counted = Checks.good(WEB3.ethGetBlockTransactionCountByNumber(number).send()).getTransactionCount();
            Checks.same(counted, Checks.number(count));
            counted = Checks.good(WEB3.ethGetBlockTransactionCountByHash(whole.getHash()).send()).getTransactionCount();
            Checks.same(counted, Checks.number(count));
            Checks.same(Checks.good(WEB3.ethGetUncleCountByBlockNumber(number).send()).getUncleCount(), BigInteger.ZERO);
            Checks.same(Checks.good(WEB3.ethGetUncleCountByBlockHash(whole.getHash()).send()).getUncleCount(), BigInteger.ZERO);
            Checks.same(WEB3.ethGetUncleByBlockHashAndIndex(whole.getHash(), BigInteger.ZERO).send().getBlock(), null);
        }
    }

    static void tags() throws Exception {
        for (DefaultBlockParameter tag : List.of(EARLIEST, LATEST, SAFE, FINALIZED, PENDING)) {
            EthBlock.Block found = Checks.good(WEB3.ethGetBlockByNumber(tag, true).send()).getBlock();
            Checks.holds(found.getNumber().signum() >= 0, tag);
            Checks.good(WEB3.ethGetBalance(Checks.who.get(0), tag).send()).getBalance();
        }
    }

    static void transactions() throws Exception {
        Iterator<Map.Entry<String, JsonNode>> all = Checks.facts.get("hashes").fields();
        while (all.hasNext()) {
            Map.Entry<String, JsonNode> one = all.next();
            String hash = one.getValue().asText();
            var sent = Checks.good(WEB3.ethGetTransactionByHash(hash).send()).getTransaction().orElseThrow();
            var receipt = Checks.good(WEB3.ethGetTransactionReceipt(hash).send()).getTransactionReceipt().orElseThrow();
            Checks.same(sent.getBlockNumber(), Checks.block(one.getKey()));
            Checks.same(receipt.getBlockHash(), sent.getBlockHash());
            Checks.same(receipt.getType(), sent.getType());
            Checks.same(receipt.isStatusOK(), !List.of("reverted", "halted", "failed creation").contains(one.getKey()));
            var placed = WEB3.ethGetTransactionByBlockHashAndIndex(sent.getBlockHash(), sent.getTransactionIndex());
            Checks.same(Checks.good(placed.send()).getTransaction().orElseThrow().getHash(), hash);
            DefaultBlockParameter number = valueOf(sent.getBlockNumber());
            placed = WEB3.ethGetTransactionByBlockNumberAndIndex(number, sent.getTransactionIndex());
            Checks.same(Checks.good(placed.send()).getTransaction().orElseThrow().getHash(), hash);
        }
        var blob = WEB3.ethGetTransactionByHash(Checks.hash("blob")).send().getTransaction().orElseThrow();
        Checks.same(blob.getBlobVersionedHashes().size(), 2);
        Checks.same(blob.getMaxFeePerBlobGas(), BigInteger.TEN.pow(10));
        var listed = WEB3.ethGetTransactionByHash(Checks.hash("access list")).send().getTransaction().orElseThrow();
        Checks.same(listed.getAccessList().get(0).getStorageKeys(), List.of(Checks.word(0)));
    }

    static void nothing() throws Exception {
        String missing = Checks.word(0x99);
        Checks.same(Checks.good(WEB3.ethGetBlockByHash(missing, true).send()).getBlock(), null);
        Checks.same(Checks.good(WEB3.ethGetBlockByNumber(valueOf(Checks.number(1L << 40)), false).send()).getBlock(), null);
        Checks.holds(Checks.good(WEB3.ethGetTransactionByHash(missing).send()).getTransaction().isEmpty(), "found");
        Checks.holds(Checks.good(WEB3.ethGetTransactionReceipt(missing).send()).getTransactionReceipt().isEmpty(), "found");
        DefaultBlockParameter far = valueOf(Checks.number(1L << 40));
        Checks.bad(WEB3.ethGetBalance(Checks.who.get(0), far).send(), -32000, "not found");
        Checks.bad(WEB3.ethGetBalance("0x12", LATEST).send(), -32602, "invalid argument 0");
        Checks.bad(WEB3.ethGetCompilers().send(), -32601, "eth_getCompilers");
    }

    static void state() throws Exception {
        DefaultBlockParameter then = valueOf(Checks.block("logs"));
        DefaultBlockParameter start = valueOf(BigInteger.ZERO);
        Checks.same(Checks.good(WEB3.ethGetStorageAt(Checks.contract(), BigInteger.ZERO, then).send()).getData(), Checks.word(42));
        Checks.holds(Checks.good(WEB3.ethGetCode(Checks.contract(), LATEST).send()).getCode().length() > 10, "code");
        Checks.same(Checks.good(WEB3.ethGetCode(Checks.contract(), start).send()).getCode(), "0x");
        BigInteger early = Checks.good(WEB3.ethGetTransactionCount(Checks.who.get(0), then).send()).getTransactionCount();
        BigInteger now = Checks.good(WEB3.ethGetTransactionCount(Checks.who.get(0), PENDING).send()).getTransactionCount();
        Checks.holds(early.compareTo(now) < 0, early);
        BigInteger first = Checks.good(WEB3.ethGetBalance(Checks.who.get(0), start).send()).getBalance();
        Checks.holds(first.compareTo(WEB3.ethGetBalance(Checks.who.get(0), LATEST).send().getBalance()) > 0, first);
    }

    static Transaction call(String data) {
        return Transaction.createEthCallTransaction(Checks.who.get(0), Checks.contract(), data);
    }

    static void calls() throws Exception {
        EthCall then = Checks.good(WEB3.ethCall(call(Checks.word(1)), valueOf(Checks.block("logs"))).send());
        Checks.same(then.getValue(), Checks.word(42));
        EthCall reverted = WEB3.ethCall(call("0xab"), LATEST).send();
        Checks.bad(reverted, 3, "execution reverted");
        Checks.same(reverted.isReverted(), true);
        Checks.same(reverted.getError().getData(), "\"0xab\"");
        Checks.bad(WEB3.ethCall(call("0x0102"), LATEST).send(), -32000, "invalid opcode: INVALID");
        Checks.holds(Checks.good(WEB3.ethEstimateGas(call(Checks.word(1))).send()).getAmountUsed().longValue() > 21_000, "gas");
        Checks.bad(WEB3.ethEstimateGas(call("0xab")).send(), 3, "execution reverted");
        Transaction full = new Transaction(
                Checks.who.get(0), null, null, Checks.number(300_000), Checks.contract(), BigInteger.ZERO,
                Checks.word(1), 31337L, Checks.GWEI, Checks.GWEI.multiply(BigInteger.TEN));
        Checks.good(WEB3.ethCall(full, LATEST).send()).getValue();
        Checks.good(WEB3.ethEstimateGas(full).send()).getAmountUsed();
    }

    static void logs() throws Exception {
        EthFilter everything = new EthFilter(EARLIEST, LATEST, Checks.contract()).addSingleTopic(Checks.word(7));
        List<?> found = Checks.good(WEB3.ethGetLogs(everything).send()).getLogs();
        Checks.holds(found.size() >= 4, found.size());
        Log log = (Log) ((org.web3j.protocol.core.methods.response.EthLog.LogResult<?>) found.get(0)).get();
        Checks.same(log.getTopics(), List.of(Checks.word(7)));
        Checks.holds(!log.isRemoved() && log.getLogIndex().signum() == 0, log);
        EthFilter none = new EthFilter(EARLIEST, LATEST, List.of());
        none.addOptionalTopics(Checks.word(1), Checks.word(2)).addNullTopic();
        Checks.same(Checks.good(WEB3.ethGetLogs(none).send()).getLogs().size(), 0);
        String block = WEB3.ethGetBlockByNumber(valueOf(Checks.block("logs")), false).send().getBlock().getHash();
        Checks.same(Checks.good(WEB3.ethGetLogs(new EthFilter(block)).send()).getLogs().size(), 2);
        BigInteger kept = Checks.good(WEB3.ethNewFilter(everything).send()).getFilterId();
        Checks.same(Checks.good(WEB3.ethGetFilterLogs(kept).send()).getLogs().size(), found.size());
        Checks.good(WEB3.ethGetFilterChanges(kept).send());
        for (BigInteger other : List.of(
                WEB3.ethNewBlockFilter().send().getFilterId(), WEB3.ethNewPendingTransactionFilter().send().getFilterId())) {
            Checks.same(Checks.good(WEB3.ethGetFilterChanges(other).send()).getLogs(), new ArrayList<>());
            Checks.same(Checks.good(WEB3.ethUninstallFilter(other).send()).isUninstalled(), true);
        }
        Checks.same(Checks.good(WEB3.ethUninstallFilter(kept).send()).isUninstalled(), true);
        Checks.bad(WEB3.ethGetFilterChanges(kept).send(), -32000, "filter not found");
    }

    static void proofs() throws Exception {
        List<String> slots = List.of(Checks.word(0), "0x1");
        EthGetProof.Proof proof = Checks.good(WEB3.ethGetProof(Checks.contract(), slots, "latest").send()).getProof();
        Checks.same(proof.getAddress(), Checks.contract());
        Checks.same(proof.getBalance(), BigInteger.ZERO);
        Checks.holds(proof.getAccountProof().size() > 0 && proof.getStorageProof().size() == 2, proof);
        Checks.same(proof.getStorageProof().get(1).getValue(), "0x0");
    }

    static void fees() throws Exception {
        Checks.holds(Checks.good(WEB3.ethGasPrice().send()).getGasPrice().signum() > 0, "price");
        Checks.good(WEB3.ethMaxPriorityFeePerGas().send()).getMaxPriorityFeePerGas();
        Checks.holds(Checks.good(WEB3.ethBaseFee().send()).getBaseFee().signum() > 0, "base fee");
        Checks.same(WEB3.ethGetBaseFeePerBlobGas(), BigInteger.ONE);
        EthFeeHistory.FeeHistory history =
                Checks.good(WEB3.ethFeeHistory(4, LATEST, List.of(10.0, 50.5)).send()).getFeeHistory();
        Checks.same(history.getBaseFeePerGas().size(), 5);
        Checks.same(history.getReward().get(0).size(), 2);
        Checks.same(history.getGasUsedRatio().size(), 4);
        Checks.good(WEB3.ethFeeHistory(2, LATEST, List.of()).send()).getFeeHistory().getOldestBlock();
    }

    static void batch() throws Exception {
        BatchResponse answers = WEB3.newBatch()
                .add(WEB3.ethChainId())
                .add(WEB3.ethGetBlockByNumber(valueOf(Checks.block("ghost")), true))
                .add(WEB3.ethGetBalance("0x12", LATEST))
                .add(WEB3.ethGetTransactionReceipt(Checks.hash("ghost")))
                .send();
        Checks.same(answers.getResponses().size(), 4);
        Checks.good(answers.getResponses().get(0));
        Checks.same(((EthBlock) answers.getResponses().get(1)).getBlock().getTransactions().size(), 2);
        Checks.bad(answers.getResponses().get(2), -32602, "invalid argument 0");
        Checks.good(answers.getResponses().get(3));
    }

    static void traces() throws Exception {
        List<String> kinds = List.of("trace", "stateDiff", "vmTrace");
        Iterator<JsonNode> all = Checks.facts.get("hashes").elements();
        while (all.hasNext()) {
            String hash = all.next().asText();
            List<Trace> traces = Checks.good(PARITY.traceTransaction(hash).send()).getTraces();
            Checks.holds(traces.size() > 0 && traces.get(0).getAction() != null, hash);
            FullTraceInfo again = Checks.good(PARITY.traceReplayTransaction(hash, kinds).send()).getFullTraceInfo();
            Checks.same(again.getTrace().size(), traces.size());
            Checks.holds(again.getStateDiff().size() > 0, hash);
        }
        for (String name : List.of("logs", "ghost", "creation", "reverted")) {
            DefaultBlockParameter number = valueOf(Checks.block(name));
            Checks.holds(Checks.good(PARITY.traceBlock(number).send()).getTraces().size() > 0, name);
        }
        FullTraceInfo called = Checks.good(PARITY.traceCall(call(Checks.word(3)), kinds, LATEST).send()).getFullTraceInfo();
        Checks.same(called.getOutput().length(), 66);
        Checks.holds(called.getVmTrace().getOps().size() > 0, called);
        TraceFilter wanted = new TraceFilter(EARLIEST, LATEST, List.of(Checks.who.get(0)), List.of(Checks.contract()));
        Checks.holds(Checks.good(PARITY.traceFilter(wanted).send()).getTraces().size() > 0, "filter");
        Checks.same(Checks.good(PARITY.traceGet(Checks.hash("logs"), List.of(BigInteger.ZERO)).send()).getTrace(), null);
    }
}
