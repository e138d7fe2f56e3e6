package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/pbkdf2"
	"golang.org/x/crypto/scrypt"
)

func TestAHashFitsItsPasswordOnly(t *testing.T) {
	hash, err := HashPassword("s3cret")
	require.NoError(t, err)
	require.Regexp(t, `^\$argon2id\$v=19\$m=19456,t=2,p=1\$[^$]{22}\$[^$]{43}$`, hash)
	other, err := HashPassword("s3cret")
	require.NoError(t, err)
	require.NotEqual(t, hash, other, "each hash has a salt of its own")
	for password, want := range map[string]bool{"s3cret": true, "S3cret": false, "": false, "s3cret ": false, "s3cret\x00": false} {
		ok, err := VerifyPassword(hash, password)
		require.NoError(t, err)
		require.Equal(t, want, ok, "%q", password)
	}
	for _, bad := range []string{"", "a\x00b", strings.Repeat("x", maxPassword+1)} {
		_, err = HashPassword(bad)
		require.ErrorIs(t, err, ErrPassword)
	}
}

func TestA06UnicodeFormsOfAPasswordAreOne(t *testing.T) {
	hash, err := HashPassword("ju\u0308rgen")
	require.NoError(t, err)
	decomposed := "$argon2id$v=19$m=64,t=1,p=1$" + b64([]byte("saltsalt")) + "$" + b64(argon2.IDKey([]byte("ju\u0308rgen"), []byte("saltsalt"), 1, 64, 1, 32))
	for _, c := range []struct {
		hash, password string
		want           bool
	}{
		{hash, "j\u00fcrgen", true}, {hash, "ju\u0308rgen", true}, {hash, "jurgen", false},
		{decomposed, "ju\u0308rgen", true}, // hashed elsewhere, as it was typed
	} {
		ok, err := VerifyPassword(c.hash, c.password)
		require.NoError(t, err)
		require.Equal(t, c.want, ok, "%q", c.password)
	}
}

func b64(b []byte) string { return base64.RawStdEncoding.EncodeToString(b) }

// hashesOfOthers are hashes of "correct horse" made by other implementations.
func hashesOfOthers(t testing.TB) map[string]string {
	salt := []byte("posthouse's salt")
	b, err := bcrypt.GenerateFromPassword([]byte("correct horse"), bcrypt.MinCost)
	require.NoError(t, err)
	s, err := scrypt.Key([]byte("correct horse"), salt, 16, 8, 1, 32)
	require.NoError(t, err)
	adapted := base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./").WithPadding(base64.NoPadding)
	p := pbkdf2.Key([]byte("correct horse"), salt, 1000, 32, sha256.New)
	return map[string]string{
		"argon2id":     "$argon2id$v=19$m=64,t=1,p=1$" + b64(salt) + "$" + b64(argon2.IDKey([]byte("correct horse"), salt, 1, 64, 1, 32)),
		"argon2i":      "{ARGON2I}$argon2i$v=19$m=64,t=1,p=1$" + b64(salt) + "$" + b64(argon2.Key([]byte("correct horse"), salt, 1, 64, 1, 32)),
		"bcrypt":       string(b),
		"blowfish":     "{BLF-CRYPT}$2y$" + strings.TrimPrefix(string(b), "$2a$"),
		"scrypt":       "$scrypt$ln=4,r=8,p=1$" + b64(salt) + "$" + b64(s),
		"pbkdf2":       "$pbkdf2-sha256$1000$" + adapted.EncodeToString(salt) + "$" + adapted.EncodeToString(p),
		"sha256-crypt": "$5$posthouse$KI66zUN8RrDPkh9J4hykPJyqyreZ/Q4IDNQSX0WSIBB",
		"sha512-crypt": "{CRYPT}$6$posthouse$SPqdlmU8YKG8ECZ23p2a1EwVAAdajctkEneCHwAT3B2Xb3KOl7M17pdhcF3wgkVLYamxm9d.AT65cxSXvw3fC.",
	}
}

func TestHashesOfOthersAreUnderstood(t *testing.T) {
	for scheme, hash := range hashesOfOthers(t) {
		ok, err := VerifyPassword(hash, "correct horse")
		require.NoError(t, err, scheme)
		require.True(t, ok, scheme)
		for _, password := range []string{"correct horsf", "", strings.Repeat("correct horse", 10), strings.Repeat("x", maxPassword+1)} {
			ok, err = VerifyPassword(hash, password)
			require.NoError(t, err, "%s: a long password tells of no scheme", scheme)
			require.False(t, ok, scheme)
		}
	}
}

func TestUnknownAndBrokenHashesFitNothing(t *testing.T) {
	for _, hash := range []string{
		"", "secret", "{PLAIN}secret", "{CLEARTEXT}secret", "{SSHA}secret", "$", "$$$", "$$$$", "$1$salt$secret", "$plaintext$secret", "$y$j9T$salt$key",
		"$argon2id$", "$argon2id$v=19$m=64,t=1,p=1$c2FsdA", "$argon2id$v=19$m=64,t=1,p=1$c2FsdA$", "$argon2id$v=19$m=64,t=1,p=1$!$!", "$argon2id$v=18$m=64,t=1,p=1$c2FsdA$c2FsdA",
		"$2b$10$short", "$2b$x$" + strings.Repeat("a", 53), "$6$$", "$6$salt$", "$5$rounds=x$salt$key", "$scrypt$ln=0,r=8,p=1$c2FsdA$c2FsdA", "$pbkdf2-sha256$x$c2FsdA$c2FsdA",
		"{", "{}", "{CRYPT}", "{CRYPT}secret", strings.Repeat("$6$", 1000),
	} {
		ok, err := VerifyPassword(hash, "secret")
		require.ErrorIs(t, err, ErrHash, "%.60q", hash)
		require.False(t, ok)
	}
}

func TestHashesThatWouldTakeTheServerDownAreRefused(t *testing.T) {
	key := strings.Repeat("a", 43)
	for _, hash := range []string{
		"$argon2id$v=19$m=4294967295,t=1,p=1$" + key + "$" + key, "$argon2id$v=19$m=1,m=4294967295,t=1,p=1$" + key + "$" + key,
		"$argon2id$v=19,m=4294967295$t=1,p=1$" + key + "$" + key, "$argon2id$v=19$m=64,t=4294967295,p=1$" + key + "$" + key,
		"$argon2id$v=19$m=64,t=1,p=4294967295$" + key + "$" + key, "$argon2id$v=19$m=262144,t=5,p=1$" + key + "$" + key,
		"$2b$31$" + strings.Repeat("a", 53), "$bcrypt-sha256$v=2,t=2b,r=31$" + strings.Repeat("a", 22) + "$" + strings.Repeat("a", 31),
		"$scrypt$ln=58,r=8,p=1$" + key + "$" + key, "$scrypt$ln=20,r=4000,p=1$" + key + "$" + key, "$scrypt$ln=4,r=8,p=1000000$" + key + "$" + key,
		"$pbkdf2-sha256$2147483647$" + key + "$" + key, "$6$rounds=999999999$salt$" + key, "$5$rounds=1000,rounds=999999999$salt$" + key,
	} {
		_, err := VerifyPassword(hash, "secret")
		require.ErrorIs(t, err, ErrHash, hash)
		require.ErrorIs(t, err, errExpensive, hash)
	}
}

func TestWaitingForAProcessorEndsWithTheContext(t *testing.T) {
	hash := hashesOfOthers(t)["argon2id"]
	for range cap(hashing) {
		hashing <- struct{}{}
	}
	defer func() {
		for range cap(hashing) {
			<-hashing
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := VerifyPasswordContext(ctx, hash, "correct horse")
	require.ErrorIs(t, err, context.Canceled)
}

func FuzzVerifyPassword(f *testing.F) {
	for _, hash := range hashesOfOthers(f) {
		f.Add(hash, "correct horse")
	}
	for _, line := range storedByOthers(f) {
		f.Add(line[1], "correct horse")
	}
	f.Add("$argon2id$v=19$m=4294967295,t=0,p=0$YQ$YQ", "")
	cheap := costs{memory: 256, passes: 64, lanes: 2, bcrypt: 4, rounds: 1000, crypt: 1000}
	f.Fuzz(func(t *testing.T, hash, password string) {
		for _, v := range []Verifier{{}, {AllowWeak: true, AllowClear: true}} {
			m, err := v.decode(hash, cheap)
			if err != nil {
				require.ErrorIs(t, err, ErrHash)
				continue
			}
			ok, _ := m.MatchAdvanced(password)
			again, _ := m.MatchAdvanced(password)
			require.Equal(t, ok, again)
			if secret, ok := v.Secret(hash, "SCRAM-SHA-256"); ok && secret.Scheme != "PLAIN" {
				same, ok := v.Secret("SCRAM-SHA-256$"+string(secret.Value), "SCRAM-SHA-256")
				require.True(t, ok)
				require.Equal(t, secret, same)
			}
		}
	})
}

func BenchmarkLogin(b *testing.B) {
	hash, err := HashPassword("secret")
	require.NoError(b, err)
	slow := AuthenticatorFunc(func(ctx context.Context, c Credentials) (Identity, error) {
		if ok, err := VerifyPasswordContext(ctx, hash, c.Password); !ok {
			return Identity{}, errors.Join(ErrBadCredentials, err)
		}
		return Identity{User: c.User}, nil
	})
	cache := NewCache(slow, CacheOptions{})
	for _, c := range []struct {
		name string
		a    Authenticator
	}{{"argon2id", slow}, {"remembered", cache}, {"throttled", NewThrottle(cache, ThrottleOptions{})}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := c.a.Authenticate(context.Background(), Credentials{User: "alice", Password: "secret", Remote: home})
				require.NoError(b, err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "logins/s")
		})
	}
}
