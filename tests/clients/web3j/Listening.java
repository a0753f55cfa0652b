import static org.web3j.protocol.core.DefaultBlockParameterName.EARLIEST;
import static org.web3j.protocol.core.DefaultBlockParameterName.LATEST;

import io.reactivex.Flowable;
import io.reactivex.disposables.Disposable;
import java.math.BigInteger;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.web3j.protocol.Web3j;
import org.web3j.protocol.core.DefaultBlockParameter;
import org.web3j.protocol.core.methods.request.EthFilter;
import org.web3j.protocol.core.methods.response.EthBlock;
import org.web3j.protocol.core.methods.response.Log;
import org.web3j.protocol.core.methods.response.TransactionReceipt;
import org.web3j.protocol.geth.Geth;
import org.web3j.protocol.ipc.UnixIpcService;
import org.web3j.protocol.websocket.WebSocketService;
import org.web3j.protocol.websocket.events.LogNotification;
import org.web3j.protocol.websocket.events.NewHeadsNotification;
import org.web3j.protocol.websocket.events.PendingTransactionNotification;

/** Subscriptions over WebSocket, polling over HTTP, the operator's socket. */
final class Listening {
    static void addTo(Map<String, Checks.Check> checks) {
        checks.put("hears of blocks, logs and what waits over WebSocket", Listening::notifications);
        checks.put("polls blocks, logs and transactions", Listening::polling);
        checks.put("replays what has happened", Listening::replaying);
        checks.put("asks over the operator's socket", Listening::operator);
    }

    static <T> T next(BlockingQueue<T> events, String what) throws Exception {
        T event = events.poll(20, TimeUnit.SECONDS);
        Checks.holds(event != null, what + ": nothing came");
        return event;
    }

    static <T> Disposable into(Flowable<T> events, BlockingQueue<T> queue) {
        return events.subscribe(queue::add, failure -> System.err.println("heard a failure: " + failure));
    }

    static void notifications() throws Exception {
        WebSocketService service = new WebSocketService(Checks.url("ws"), true);
        service.connect();
        Geth geth = Geth.build(service);
        Checks.same(Checks.good(geth.ethChainId().send()).getChainId(), Checks.number(31337));
        BlockingQueue<NewHeadsNotification> heads = new LinkedBlockingQueue<>();
        BlockingQueue<LogNotification> logs = new LinkedBlockingQueue<>();
        BlockingQueue<PendingTransactionNotification> hashes = new LinkedBlockingQueue<>();
        List<Disposable> heard = List.of(
                into(geth.newHeadsNotifications(), heads),
                into(geth.logsNotifications(List.of(Sending.token.getContractAddress()), List.of()), logs),
                into(geth.newPendingTransactionsNotifications(), hashes));
        TimeUnit.MILLISECONDS.sleep(500); // until the subscriptions stand
        TransactionReceipt moved = Sending.token.transfer(Checks.who.get(1), 3).send();
        Checks.same(next(hashes, "hash").getParams().getResult(), moved.getTransactionHash());
        Checks.same(next(heads, "head").getParams().getResult().getHash(), moved.getBlockHash());
        Checks.same(next(logs, "log").getParams().getResult().getTransactionHash(), moved.getTransactionHash());
        heard.forEach(Disposable::dispose);
        List<?> answers = geth.newBatch().add(geth.ethChainId()).add(geth.ethGasPrice()).send().getResponses();
        Checks.same(answers.size(), 2);
        geth.shutdown();
    }

    static void polling() throws Exception {
        Web3j web3 = Sending.WEB3;
        BlockingQueue<EthBlock> blocks = new LinkedBlockingQueue<>();
        BlockingQueue<Log> logs = new LinkedBlockingQueue<>();
        BlockingQueue<String> hashes = new LinkedBlockingQueue<>();
        EthFilter wanted = new EthFilter(EARLIEST, LATEST, Sending.token.getContractAddress());
        List<Disposable> heard = List.of(
                into(web3.blockFlowable(true), blocks),
                into(web3.ethLogFlowable(wanted), logs),
                into(web3.ethPendingTransactionHashFlowable(), hashes));
        TimeUnit.MILLISECONDS.sleep(500);
        TransactionReceipt moved = Sending.token.transfer(Checks.who.get(1), 4).send();
        Checks.same(next(blocks, "block").getBlock().getHash(), moved.getBlockHash());
        Checks.same(next(hashes, "hash"), moved.getTransactionHash());
        Log log = next(logs, "log");
        while (!log.getTransactionHash().equals(moved.getTransactionHash())) log = next(logs, "log");
        heard.forEach(Disposable::dispose);
    }

    static void replaying() throws Exception {
        DefaultBlockParameter first = DefaultBlockParameter.valueOf(BigInteger.ONE);
        DefaultBlockParameter last = DefaultBlockParameter.valueOf(Checks.block("with withdrawals"));
        List<EthBlock> blocks = Sending.WEB3.replayPastBlocksFlowable(first, last, true).toList().blockingGet();
        Checks.same(Checks.number(blocks.size()), Checks.block("with withdrawals"));
        long sent = Sending.WEB3.replayPastTransactionsFlowable(first, last).count().blockingGet();
        Checks.same(sent, (long) Checks.facts.get("hashes").size());
    }

    static void operator() throws Exception {
        UnixIpcService service = new UnixIpcService(Checks.url("ipc"));
        Web3j web3 = Web3j.build(service);
        Checks.same(Checks.good(web3.ethChainId().send()).getChainId(), Checks.number(31337));
        Checks.holds(Checks.good(web3.adminNodeInfo().send()).getResult().getName().startsWith("ghostd/"), "name");
        Checks.same(Checks.good(web3.adminPeers().send()).getResult(), List.of());
        Checks.holds(Checks.good(web3.adminDataDir().send()).getResult().length() > 1, "directory");
        web3.shutdown();
    }
}
