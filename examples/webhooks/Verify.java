import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Base64;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Verifies one request of a webhook: Verify.java SECRET ID TIMESTAMP SIGNATURES &lt; BODY, the three headers `webhook-*` and the body's bytes as
 * they came. Exit 0 when it is genuine and at most five minutes old.
 */
public final class Verify {
    private static final long TOLERANCE_S = 300;

    private static byte[] keyOf(String secret) {
        if (secret.startsWith("whsec_")) return Base64.getDecoder().decode(secret.substring(6));
        return secret.getBytes(StandardCharsets.UTF_8);
    }

    static boolean isGenuine(String secret, String id, String timestamp, String signatures, byte[] body) throws GeneralSecurityException {
        if (!timestamp.matches("[0-9]{1,18}")) return false;
        if (Math.abs(System.currentTimeMillis() / 1000 - Long.parseLong(timestamp)) > TOLERANCE_S) return false;
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(keyOf(secret), "HmacSHA256"));
        mac.update((id + "." + timestamp + ".").getBytes(StandardCharsets.UTF_8));
        byte[] expected = ("v1," + Base64.getEncoder().encodeToString(mac.doFinal(body))).getBytes(StandardCharsets.UTF_8);
        for (String signature : signatures.split(" ")) {
            if (MessageDigest.isEqual(expected, signature.getBytes(StandardCharsets.UTF_8))) return true;
        }
        return false;
    }

    public static void main(String[] arguments) throws Exception {
        byte[] body = System.in.readAllBytes();
        System.exit(isGenuine(arguments[0], arguments[1], arguments[2], arguments[3], body) ? 0 : 1);
    }
}
