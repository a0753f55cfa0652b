import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.web3j.crypto.Credentials;
import org.web3j.protocol.core.Response;

/**
 * Drives a node with web3j. The one argument is the file with the facts, which
 * tests/node/typed_clients.py writes: where a node is, what is on its chain. One line of JSON for
 * each check; exit code 1 when one failed.
 */
public final class Checks {
    interface Check {
        void run() throws Exception;
    }

    static final ObjectMapper JSON = new ObjectMapper();
    static final long PATIENCE_S = 60;
    static final BigInteger GWEI = BigInteger.TEN.pow(9);

    static JsonNode facts;
    static List<Credentials> keys = new ArrayList<>();
    static List<String> who = new ArrayList<>();

    public static void main(String[] arguments) throws Exception {
        facts = JSON.readTree(new File(arguments[0]));
        for (JsonNode key : facts.get("keys")) {
            keys.add(Credentials.create(key.asText()));
            who.add(keys.get(keys.size() - 1).getAddress());
        }
        Map<String, Check> checks = new LinkedHashMap<>();
        Reading.addTo(checks);
        Sending.addTo(checks);
        Listening.addTo(checks);
        boolean failed = false;
        for (Map.Entry<String, Check> check : checks.entrySet()) {
            failed |= !outcome(check.getKey(), check.getValue());
        }
        System.exit(failed ? 1 : 0);
    }

    static boolean outcome(String name, Check check) throws Exception {
        Map<String, Object> line = new LinkedHashMap<>(Map.of("name", name, "pass", true));
        try {
            CompletableFuture.runAsync(() -> {
                try {
                    check.run();
                } catch (Exception | AssertionError failure) {
                    throw new IllegalStateException(failure);
                }
            }).get(PATIENCE_S, TimeUnit.SECONDS);
        } catch (Exception failure) {
            Throwable cause = failure;
            while (cause.getCause() != null) cause = cause.getCause();
            line.put("pass", false);
            line.put("reason", cause + " at " + place(cause));
        }
        System.out.println(JSON.writeValueAsString(line));
        return (boolean) line.get("pass");
    }

    static String place(Throwable failure) {
        for (StackTraceElement frame : failure.getStackTrace()) {
            String name = frame.getClassName();
            boolean ours = name.startsWith("Reading") || name.startsWith("Sending") || name.startsWith("Listening");
            if (ours) return frame.toString();
        }
        return "?";
    }

    // ---- what is expected ----

    static void same(Object got, Object wanted) {
        if (!Objects.equals(got, wanted)) throw new AssertionError(got + ", not " + wanted);
    }

    static void holds(boolean condition, Object shown) {
        if (!condition) throw new AssertionError(String.valueOf(shown));
    }

    /** The answer, which must not be an error. */
    static <T extends Response<?>> T good(T response) {
        holds(!response.hasError(), response.hasError() ? response.getError().getMessage() : "");
        return response;
    }

    static Response.Error bad(Response<?> response, int code, String said) {
        holds(response.hasError(), "it should have failed: " + said);
        same(response.getError().getCode(), code);
        holds(response.getError().getMessage().contains(said), response.getError().getMessage());
        return response.getError();
    }

    // ---- what is known ----

    static BigInteger number(long value) {
        return BigInteger.valueOf(value);
    }

    static String word(long value) {
        return String.format("0x%064x", value);
    }

    static String hash(String name) {
        return facts.get("hashes").get(name).asText();
    }

    static BigInteger block(String name) {
        return number(facts.get("blocks").get(name).asLong());
    }

    static String contract() {
        return facts.get("contract").asText();
    }

    static String url(String door) {
        return facts.get(door).asText();
    }
}
