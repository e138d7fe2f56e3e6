package auth

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// storedByOthers are the lines of testdata/stored.txt: what a Verifier must
// allow ("good": nothing), and the stored password.
func storedByOthers(t testing.TB) [][2]string {
	t.Helper()
	text, err := os.ReadFile("testdata/stored.txt")
	require.NoError(t, err)
	var all [][2]string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimRight(line, "\n"); line == "" || line[0] == '#' {
			continue
		}
		class, stored, ok := strings.Cut(line, "\t")
		require.True(t, ok, line)
		all = append(all, [2]string{class, stored})
	}
	return all
}

func TestWhatOtherProgramsStoreIsVerified(t *testing.T) {
	v := Verifier{AllowWeak: true, AllowClear: true}
	for _, line := range storedByOthers(t) {
		if line[0] == "never" {
			continue
		}
		for password, want := range map[string]bool{"correct horse": true, "correct horsf": false} {
			ok, err := v.Verify(t.Context(), line[1], password)
			require.NoError(t, err, line[1])
			require.Equal(t, want, ok, line[1])
		}
	}
}

func TestWhatIsNotAllowedIsNotVerified(t *testing.T) {
	for _, v := range []Verifier{{}, {AllowWeak: true}, {AllowClear: true}, {AllowWeak: true, AllowClear: true}} {
		allowed := map[string]bool{"good": true, "weak": v.AllowWeak, "clear": v.AllowClear}
		for _, line := range storedByOthers(t) {
			kinds, err := v.Kinds(line[1])
			if allowed[line[0]] {
				require.NoError(t, err, "%+v %s", v, line[1])
				require.NotZero(t, kinds&Passwords)
				continue
			}
			require.ErrorIs(t, err, ErrHash, "%+v %s", v, line[1])
			require.Zero(t, kinds)
			ok, err := v.Verify(t.Context(), line[1], "correct horse")
			require.ErrorIs(t, err, ErrHash, "%+v %s", v, line[1])
			require.False(t, ok)
		}
	}
}

func TestAnEmptyPasswordFitsNothingThatIsStored(t *testing.T) {
	v := Verifier{AllowWeak: true, AllowClear: true}
	for _, stored := range []string{
		"{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "{MD5}1B2M2Y8AsgTpgAmY7PhCfg==", "{SHA256}47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", // of the empty text
		"{PLAIN}x", "x",
	} {
		ok, err := v.Verify(t.Context(), stored, "")
		require.NoError(t, err, stored)
		require.False(t, ok, stored)
	}
	for _, stored := range []string{"", "{PLAIN}", "{CLEARTEXT}", "{PLAIN.b64}", "{PLAIN.b64}AA==", "{SSHA}", "{CRYPT}"} {
		_, err := v.Verify(t.Context(), stored, "")
		require.ErrorIs(t, err, ErrHash, stored)
	}
}

func TestNoErrorShowsWhatIsStored(t *testing.T) {
	const secret = "hunter2"
	for _, v := range []Verifier{{}, {AllowWeak: true, AllowClear: true}} {
		for _, stored := range []string{
			"{hunter2}x", "{SSHA}hunter2", "{SHA.hex}hunter2", "{SSHA.hunter2}x", "$hunter2$a$b", "{PBKDF2}hunter2$a$b", "{PBKDF2}1$hunter2$!hunter2", "{PBKDF2}$1$hunter2$hunter2$hunter2",
			"$argon2id$v=19$m=64,t=1,hunter2=1$hunter2$hunter2", "$argon2id$hunter2$m=64,t=1,p=1$YWFhYWFhYWE$hunter2", "$scrypt$ln=4,r=8,hunter2=1$hunter2$hunter2", "$y$j75$hunter2$hunter2",
			"{SCRAM-SHA-256}hunter2,hunter2,hunter2,hunter2", "{SCRAM-SHA-256}1,hunter2,hunter2,hunter2", "$2b$05$hunter2", "$6$rounds=hunter2$hunter2$hunter2", "$1$hunter2$hunter2", "!hunter2", "*hunter2",
		} {
			_, err := v.Verify(t.Context(), stored, "x")
			require.ErrorIs(t, err, ErrHash, stored)
			require.NotContains(t, err.Error(), secret)
		}
	}
	_, err := Verifier{}.Verify(t.Context(), secret, secret)
	require.ErrorIs(t, err, errClear)
	require.NotContains(t, err.Error(), secret)
}

func TestTextWithoutASchemeIsNeverAHashThatIsNotKnown(t *testing.T) {
	v := Verifier{AllowWeak: true, AllowClear: true}
	for _, stored := range []string{"$x$y$z", "$plain", "{NONE}secret", "{}secret", "!", "*", "!secret", "*LK*", "SCRAM-SHA-256$secret"} {
		_, err := v.Verify(t.Context(), stored, stored)
		require.ErrorIs(t, err, ErrHash, stored)
	}
	for stored, password := range map[string]string{"{open": "{open", "a{b}c": "a{b}c", "{PLAIN}$1$x$y": "$1$x$y", "{PLAIN}!": "!", "x$y": "x$y"} {
		ok, err := v.Verify(t.Context(), stored, password)
		require.NoError(t, err, stored)
		require.True(t, ok, stored)
	}
}

func TestA10CostsOfStoredSecretsAreBounded(t *testing.T) {
	rest := ",pXna6rFojgW5WfXzw1tOFg==,4jS3o99SObYOynPo8Sic8SxMf8/r0K/Amyy9xrDVeFI=,FW3h6V6UcPKdO7crV9IXXLUMhDTmrhkf+Ykb95eNs0E="
	for _, stored := range []string{
		"{SCRAM-SHA-256}2147483648" + rest, "{SCRAM-SHA-256}0" + rest, "{SCRAM-SHA-256}-1" + rest, "{PBKDF2}$1$salt$2147483648$61463ee3ea24503e5b1cfa3c309a895c72c4f76d",
		"{PBKDF2}2147483648$7M4d5IZjUIMlbArLMQ9KJA$gXtM2HdgYFwX9plFVYBuBDLDskI", "$y$jFT$posthousesalt0000000a.$3hWGS5PGbeYZ2KVQI.TrCcc3ONrip7x3tZIIg0DvcL.", "$y$jzz$posthousesalt0000000a.$3hWGS5PGbeYZ2KVQI.TrCcc3ONrip7x3tZIIg0DvcL.",
	} {
		_, err := Verifier{}.Verify(t.Context(), stored, "secret")
		require.ErrorIs(t, err, errExpensive, stored)
	}
}

func TestWhatIsStoredTellsWhatCanBeCheckedWithIt(t *testing.T) {
	const rfc = "4096:M32YJEFqIX4ITEVkpS0NYQ==$7XMtIJQG143INDczDyWTfSPiwA0=:SYgsSf6pYYhedXxSefCiuugQhWY="
	const dovecot = "{SCRAM-SHA-1}4096,M32YJEFqIX4ITEVkpS0NYQ==,7XMtIJQG143INDczDyWTfSPiwA0=,SYgsSf6pYYhedXxSefCiuugQhWY="
	v := Verifier{AllowClear: true}
	for _, c := range []struct {
		stored, scheme string
		kinds          Kinds
		secret         Secret
	}{
		{dovecot, "SCRAM-SHA-1", Passwords | SCRAMSHA1Secrets, Secret{"SCRAM-SHA-1", []byte(rfc)}},
		{"SCRAM-SHA-1$" + rfc, "SCRAM-SHA-1", Passwords | SCRAMSHA1Secrets, Secret{"SCRAM-SHA-1", []byte(rfc)}},
		{"{PLAIN}secret", "SCRAM-SHA-256", Passwords | ClearSecrets, Secret{"PLAIN", []byte("secret")}},
		{"secret", "PLAIN", Passwords | ClearSecrets, Secret{"PLAIN", []byte("secret")}},
	} {
		kinds, err := v.Kinds(c.stored)
		require.NoError(t, err)
		require.Equal(t, c.kinds, kinds, c.stored)
		secret, ok := v.Secret(c.stored, c.scheme)
		require.True(t, ok, c.stored)
		require.Equal(t, c.secret, secret)
	}
	_, ok := v.Secret(dovecot, "SCRAM-SHA-256")
	require.False(t, ok, "a secret is good for its own mechanism only")
	for _, stored := range []string{"{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=", "junk$", ""} {
		_, ok := Verifier{}.Secret(stored, "PLAIN")
		require.False(t, ok)
	}
	kinds, err := v.Kinds("{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=")
	require.NoError(t, err)
	require.Equal(t, Passwords, kinds)
	kinds, err = Verifier{}.Kinds("secret")
	require.ErrorIs(t, err, ErrHash)
	require.Zero(t, kinds)
}

func TestSCRAMKeepsThePreparedFormOfAPassword(t *testing.T) {
	for stored, shown := range map[string]string{
		"IX":     "\u2168",   // RFC 4013 §3
		"I X":    "I\u00a0X", // prepared
		"\u2168": "\u2168",   // by a program that does not prepare
		"I\tX":   "I\tX",     // prohibited
	} {
		m := &storedSCRAM{scramHash: scramSHA256(), keys: scramKeys{iterations: 1, salt: []byte("salt")}}
		keys, err := m.keysOf(stored, m.keys.salt, 1)
		require.NoError(t, err)
		m.keys = keys
		ok, err := m.MatchAdvanced(shown)
		require.NoError(t, err)
		require.True(t, ok, "%q", stored)
	}
}
