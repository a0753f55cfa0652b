import static org.web3j.protocol.core.DefaultBlockParameterName.LATEST;
import static org.web3j.protocol.core.DefaultBlockParameterName.PENDING;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.web3j.abi.EventEncoder;
import org.web3j.abi.EventValues;
import org.web3j.abi.FunctionEncoder;
import org.web3j.abi.FunctionReturnDecoder;
import org.web3j.abi.TypeReference;
import org.web3j.abi.datatypes.Address;
import org.web3j.abi.datatypes.Event;
import org.web3j.abi.datatypes.Function;
import org.web3j.abi.datatypes.Type;
import org.web3j.abi.datatypes.Utf8String;
import org.web3j.abi.datatypes.generated.Uint256;
import org.web3j.crypto.AccessListObject;
import org.web3j.crypto.RawTransaction;
import org.web3j.crypto.TransactionEncoder;
import org.web3j.protocol.Web3j;
import org.web3j.protocol.admin.Admin;
import org.web3j.protocol.core.RemoteFunctionCall;
import org.web3j.protocol.core.methods.request.Transaction;
import org.web3j.protocol.core.methods.response.EthCall;
import org.web3j.protocol.core.methods.response.EthSendTransaction;
import org.web3j.protocol.core.methods.response.TransactionReceipt;
import org.web3j.protocol.exceptions.TransactionException;
import org.web3j.protocol.http.HttpService;
import org.web3j.tx.ClientTransactionManager;
import org.web3j.tx.Contract;
import org.web3j.tx.FastRawTransactionManager;
import org.web3j.tx.RawTransactionManager;
import org.web3j.tx.TransactionManager;
import org.web3j.tx.Transfer;
import org.web3j.tx.gas.StaticGasProvider;
import org.web3j.tx.response.PollingTransactionReceiptProcessor;
import org.web3j.utils.Convert;
import org.web3j.utils.Numeric;

/** Transactions of each type that web3j signs, contracts as its generator wraps them. */
final class Sending {
    static final Web3j WEB3 = Web3j.build(new HttpService(Checks.url("http")), 100, java.util.concurrent.Executors.newScheduledThreadPool(1));
    static final long CHAIN = 31337;
    static final BigInteger GAS = Checks.number(3_000_000);
    static Token token;

    static void addTo(Map<String, Checks.Check> checks) {
        checks.put("deploys a token, sends to it, reads it", Sending::deploy);
        checks.put("finds its events", Sending::events);
        checks.put("decodes its errors", Sending::errors);
        checks.put("sends each type of transaction", Sending::types);
        checks.put("sends funds, in a row and by the node's key", Sending::transfers);
        checks.put("is refused with geth's words", Sending::refusals);
        checks.put("sees what waits", Sending::waiting);
    }

    static final Event TRANSFER = new Event("Transfer", Arrays.asList(
            new TypeReference<Address>(true) {}, new TypeReference<Address>(true) {}, new TypeReference<Uint256>() {}));

    /** What web3j's generator makes of the token's ABI. */
    static final class Token extends Contract {
        Token(String address, Web3j web3, TransactionManager manager, StaticGasProvider gas) {
            super(Checks.facts.get("token").get("bytecode").asText(), address, web3, manager, gas);
        }

        RemoteFunctionCall<TransactionReceipt> transfer(String to, long value) {
            return executeRemoteCallTransaction(new Function("transfer",
                    List.of(new Address(to), new Uint256(value)), List.of()));
        }

        RemoteFunctionCall<BigInteger> balanceOf(String of) {
            return executeRemoteCallSingleValueReturn(new Function("balanceOf",
                    List.of(new Address(of)), List.of(new TypeReference<Uint256>() {})), BigInteger.class);
        }

        RemoteFunctionCall<String> name() {
            return executeRemoteCallSingleValueReturn(new Function("name",
                    List.of(), List.of(new TypeReference<Utf8String>() {})), String.class);
        }

        RemoteFunctionCall<TransactionReceipt> send(Function function) {
            return executeRemoteCallTransaction(function);
        }

        List<EventValues> transfers(TransactionReceipt receipt) {
            return extractEventParameters(TRANSFER, receipt);
        }
    }

    static TransactionManager manager(int key) {
        var receipts = new PollingTransactionReceiptProcessor(WEB3, 50, 200);
        return new RawTransactionManager(WEB3, Checks.keys.get(key), CHAIN, receipts);
    }

    static void deploy() throws Exception {
        StaticGasProvider gas = new StaticGasProvider(Checks.GWEI.multiply(Checks.number(5)), GAS);
        String arguments = FunctionEncoder.encodeConstructor(List.of(new Uint256(1000)));
        String code = Checks.facts.get("token").get("bytecode").asText();
        TransactionManager manager = manager(0);
        EthSendTransaction sent = manager.sendTransaction(
                gas.getGasPrice(), GAS, null, Numeric.cleanHexPrefix(code) + arguments, BigInteger.ZERO, true);
        String hash = Checks.good(sent).getTransactionHash();
        TransactionReceipt receipt = receipt(hash);
        token = new Token(receipt.getContractAddress(), WEB3, manager, gas);
        Checks.same(token.name().send(), "Ghost Token");
        TransactionReceipt moved = token.transfer(Checks.who.get(1), 7).send();
        Checks.same(moved.isStatusOK(), true);
        Checks.same(token.balanceOf(Checks.who.get(1)).send(), Checks.number(7));
        token.setDefaultBlockParameter(org.web3j.protocol.core.DefaultBlockParameter.valueOf(receipt.getBlockNumber()));
        Checks.same(token.balanceOf(Checks.who.get(1)).send(), BigInteger.ZERO);
        token.setDefaultBlockParameter(LATEST);
    }

    static TransactionReceipt receipt(String hash) throws Exception {
        return new PollingTransactionReceiptProcessor(WEB3, 50, 200).waitForTransactionReceipt(hash);
    }

    static void events() throws Exception {
        TransactionReceipt moved = token.transfer(Checks.who.get(2), 9).send();
        EventValues values = token.transfers(moved).get(0);
        Checks.same(values.getIndexedValues().get(1).getValue(), Checks.who.get(2));
        Checks.same(values.getNonIndexedValues().get(0).getValue(), Checks.number(9));
        Checks.same(moved.getLogs().get(0).getTopics().get(0), EventEncoder.encode(TRANSFER));
    }

    static EthCall call(Function function) throws Exception {
        Transaction asked = Transaction.createEthCallTransaction(
                Checks.who.get(0), token.getContractAddress(), FunctionEncoder.encode(function));
        return WEB3.ethCall(asked, LATEST).send();
    }

    static void errors() throws Exception {
        EthCall reason = call(new Function("failWithReason", List.of(new Utf8String("no money")), List.of()));
        Checks.same(reason.isReverted(), true);
        Checks.same(reason.getRevertReason(), "execution reverted: no money");
        EthCall custom = call(new Function("failWithError", List.of(new Uint256(42)), List.of()));
        String data = custom.getError().getData().replace("\"", "");
        Checks.same(data.substring(0, 10), org.web3j.crypto.Hash.sha3String("Refused(address,uint256)").substring(0, 10));
        List<TypeReference<?>> kinds = Arrays.asList(new TypeReference<Address>() {}, new TypeReference<Uint256>() {});
        List<Type> values = FunctionReturnDecoder.decode("0x" + data.substring(10), (List) kinds);
        Checks.same(values.get(0).getValue(), Checks.who.get(0));
        Checks.same(values.get(1).getValue(), Checks.number(42));
        try {
            token.send(new Function("failWithReason", List.of(new Utf8String("no money")), List.of())).send();
            throw new AssertionError("it should have failed");
        } catch (TransactionException failure) {
            Checks.holds(failure.getMessage().contains("no money"), failure.getMessage());
            Checks.same(failure.getTransactionReceipt().orElseThrow().isStatusOK(), false);
        }
    }

    static BigInteger nonce(int key) throws Exception {
        return WEB3.ethGetTransactionCount(Checks.who.get(key), PENDING).send().getTransactionCount();
    }

    static EthSendTransaction send(int key, RawTransaction raw) throws Exception {
        boolean isLegacy = raw.getType() == org.web3j.crypto.transaction.type.TransactionType.LEGACY;
        byte[] signed = isLegacy
                ? TransactionEncoder.signMessage(raw, CHAIN, Checks.keys.get(key))
                : TransactionEncoder.signMessage(raw, Checks.keys.get(key));
        return WEB3.ethSendRawTransaction(Numeric.toHexString(signed)).send();
    }

    static void types() throws Exception {
        String to = Checks.who.get(3);
        BigInteger gas = Checks.number(60_000);
        BigInteger price = Checks.GWEI.multiply(Checks.number(5));
        List<AccessListObject> list = List.of(new AccessListObject(Checks.contract(), List.of(Checks.word(0))));
        BigInteger first = nonce(0);
        List<RawTransaction> each = List.of(
                RawTransaction.createTransaction(first, price, gas, to, BigInteger.ONE, ""),
                RawTransaction.createTransaction(CHAIN, first.add(Checks.number(1)), price, gas, to, BigInteger.ONE, "", list),
                RawTransaction.createTransaction(CHAIN, first.add(Checks.number(2)), gas, to, BigInteger.ONE, "", Checks.GWEI, price),
                RawTransaction.createTransaction(CHAIN, first.add(Checks.number(3)), gas, to, BigInteger.ONE, "", Checks.GWEI, price, list));
        List<String> kinds = List.of("0x0", "0x1", "0x2", "0x2");
        for (int place = 0; place < each.size(); place++) {
            String hash = Checks.good(send(0, each.get(place))).getTransactionHash();
            TransactionReceipt receipt = receipt(hash);
            Checks.same(receipt.getType(), kinds.get(place));
            Checks.same(receipt.isStatusOK(), true);
            var sent = WEB3.ethGetTransactionByHash(hash).send().getTransaction().orElseThrow();
            Checks.same(sent.getChainId(), CHAIN);
        }
    }

    static void transfers() throws Exception {
        BigDecimal one = BigDecimal.ONE;
        TransactionReceipt paid = Transfer.sendFunds(WEB3, Checks.keys.get(2), Checks.who.get(0), one, Convert.Unit.ETHER).send();
        Checks.same(paid.isStatusOK(), true);
        BigInteger most = Checks.GWEI.multiply(Checks.number(5));
        paid = Transfer.sendFundsEIP1559(WEB3, Checks.keys.get(2), Checks.who.get(0), one, Convert.Unit.ETHER,
                Checks.number(21_000), Checks.GWEI, most).send();
        Checks.same(paid.getType(), "0x2");
        FastRawTransactionManager fast = new FastRawTransactionManager(WEB3, Checks.keys.get(2), CHAIN);
        String last = "";
        for (int round = 0; round < 5; round++) {
            last = Checks.good(fast.sendEIP1559Transaction(CHAIN, Checks.GWEI, most, Checks.number(30_000),
                    Checks.who.get(0), "", BigInteger.ONE, false)).getTransactionHash();
        }
        Checks.same(receipt(last).isStatusOK(), true);
        ClientTransactionManager node = new ClientTransactionManager(WEB3, Checks.who.get(0));
        String sent = Checks.good(node.sendTransaction(most, Checks.number(30_000), Checks.who.get(2), "", BigInteger.ONE, false)).getTransactionHash();
        Checks.same(receipt(sent).isStatusOK(), true);
        String signature = Checks.good(WEB3.ethSign(Checks.who.get(0), "0x0102").send()).getSignature();
        Checks.same(signature.length(), 132);
    }

    static void refusals() throws Exception {
        BigInteger price = Checks.GWEI.multiply(Checks.number(5));
        String to = Checks.who.get(3);
        BigInteger nonce = nonce(0);
        Checks.bad(send(0, RawTransaction.createEtherTransaction(BigInteger.ZERO, price, Checks.number(21_000), to, BigInteger.ONE)),
                -32000, "nonce too low");
        Checks.bad(send(0, RawTransaction.createEtherTransaction(nonce, price, Checks.number(21_000), to, BigInteger.TWO.pow(200))),
                -32000, "insufficient funds");
        Checks.bad(send(0, RawTransaction.createEtherTransaction(nonce, price, Checks.number(20_000), to, BigInteger.ONE)),
                -32000, "intrinsic gas too low");
        Checks.bad(WEB3.ethSendRawTransaction("0x02").send(), -32000, "");
    }

    static void waiting() throws Exception {
        BigInteger ahead = nonce(3).add(Checks.number(3));
        BigInteger price = Checks.GWEI.multiply(Checks.number(5));
        String hash = Checks.good(send(3, RawTransaction.createEtherTransaction(
                ahead, price, Checks.number(60_000), Checks.who.get(0), BigInteger.ONE))).getTransactionHash();
        var found = WEB3.ethGetTransactionByHash(hash).send().getTransaction().orElseThrow();
        Checks.same(found.getBlockHash(), null);
        Checks.holds(Checks.good(WEB3.txPoolStatus().send()).getQueued() >= 1, "queued");
        Admin admin = Admin.build(new HttpService(Checks.url("http")));
        var pool = Checks.good(admin.txPoolContent().send()).getResult();
        Checks.holds(pool.getQueuedTransactions().stream().anyMatch(one -> one.getHash().equals(hash)), pool);
    }
}
