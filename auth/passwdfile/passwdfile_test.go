package passwdfile_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/authtest"
	"github.com/posthouse-mail/posthouse/auth/passwdfile"
	"github.com/posthouse-mail/posthouse/internal/realtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The password "correct horse" as slappasswd, doveadm, htpasswd and crypt(3)
// write it.
const (
	ssha512 = "{SSHA512}SUjPHWZEKpDuN+YRF+wshfDD1lsLSsa3zTKwlByye4waPAzm5rU2dB9AnVffA3YfMoemtYi9kAWuG/+XGe6rHNFkaSQou6y2"
	scram1  = "{SCRAM-SHA-1}4096,M32YJEFqIX4ITEVkpS0NYQ==,7XMtIJQG143INDczDyWTfSPiwA0=,SYgsSf6pYYhedXxSefCiuugQhWY="
	scram   = "{SCRAM-SHA-256}4096,pXna6rFojgW5WfXzw1tOFg==,4jS3o99SObYOynPo8Sic8SxMf8/r0K/Amyy9xrDVeFI=,FW3h6V6UcPKdO7crV9IXXLUMhDTmrhkf+Ykb95eNs0E="
	bcrypt  = "$2y$05$wipFmlsGB6Ueyd9CiDtGiew6l8tMkkHpw5TNYB.jinGFlp4om9Ax2"
	sha512  = "$6$rounds=1000$mosQv9LAUkk3MbqV$cxlZGE6NPvQ3xnxhlAVoVjk.FQ4wp115hniqAHJ8fZ/KmRO.yVKIPUr8ceXbIaEtVqfbpZujYjPJkIxDUsC45/"
	apr1    = "$apr1$gdNrafPH$uMC92iN6xbr1270D3UJUo0"
	sha1    = "{SHA}L55TUjtiq8FBorTWAZ0jy6g129A="
)

// write puts text into the file at path at once.
func write(t *testing.T, path, text string) {
	t.Helper()
	next := path + ".new"
	require.NoError(t, os.WriteFile(next, []byte(text), 0o600))
	require.NoError(t, os.Rename(next, path))
}

func read(t testing.TB, o passwdfile.Options, text string) *passwdfile.Table {
	t.Helper()
	table, err := passwdfile.ReadTable(strings.NewReader(text), o)
	require.NoError(t, err)
	return table
}

func login(a auth.Authenticator, user, password, from string) (auth.Identity, error) {
	c := auth.Credentials{User: user, Password: password}
	if from != "" {
		c.Remote = netip.MustParseAddr(from)
	}
	return a.Authenticate(context.Background(), c)
}

func TestFilesKeepThePromisesOfAnAuthenticator(t *testing.T) {
	changed := strings.NewReplacer("correct horse changed", "{PLAIN}correct horse changed")
	for name, c := range map[string]struct {
		o    passwdfile.Options
		file string // %s stands for the password of alice
	}{
		"passwd":            {passwdfile.Options{}, "# accounts\n\nroot:*:0:0:root:/root:/bin/bash\nalice:%s:1000:1000:Alice,,,:/home/alice:/bin/sh\nbob:" + bcrypt + ":1001:1001::/home/bob:/bin/sh\n"},
		"htpasswd":          {passwdfile.Options{}, "alice:%s\nbob:" + sha1 + "\n"},
		"Apache's MD5":      {passwdfile.Options{Verifier: auth.Verifier{AllowWeak: true}}, "alice:%s\nbob:" + apr1 + "\n"},
		"Dovecot":           {passwdfile.Options{}, "alice:%s:5000:5000::/home::quota_rule=*:bytes=1 userdb_x=y\ncarol:" + scram + "::::::nologin\nbob:" + ssha512 + "\n"},
		"clear text":        {passwdfile.Options{Verifier: auth.Verifier{AllowClear: true}}, "alice:%s\nbob:{PLAIN}b\ncarol:{PLAIN}correct horse::::::nologin\n"},
		"names in a domain": {passwdfile.Options{Domain: "Example.Test"}, "alice:%s\nbob@example.test:" + ssha512 + "\ncarol:" + ssha512 + ":x:x:::: nologin=y\n"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "passwd")
			hash := map[string]string{
				"passwd": sha512, "htpasswd": bcrypt, "Apache's MD5": apr1, "Dovecot": scram, "clear text": "{PLAIN}correct horse", "names in a domain": ssha512,
			}[name]
			write(t, path, fmt.Sprintf(c.file, hash))
			f, err := passwdfile.Open(path, c.o)
			require.NoError(t, err)
			fixture := authtest.Fixture{
				Auth: f, User: "alice", Password: "correct horse", Identity: "alice", Other: "bob", Unknown: "mallory",
				SetPassword: func(t *testing.T, password string) {
					stored := hash
					if password != "correct horse" {
						if stored, err = auth.HashPassword(password); c.o.Verifier.AllowClear {
							stored = changed.Replace(password)
						}
						require.NoError(t, err)
					}
					write(t, path, fmt.Sprintf(c.file, stored))
					require.NoError(t, f.Reload())
				},
			}
			if c.o.Domain != "" {
				fixture.Identity = "alice@example.test"
			}
			if strings.Contains(c.file, "nologin") {
				fixture.Disabled, fixture.DisabledPassword = "carol", "correct horse"
			}
			authtest.Run(t, fixture)
		})
	}
}

func TestABadLineIsToldAndTheLastGoodFileStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwd")
	_, err := passwdfile.Open(path, passwdfile.Options{})
	require.ErrorIs(t, err, os.ErrNotExist)
	write(t, path, "alice:"+sha512+"\n")
	f, err := passwdfile.Open(path, passwdfile.Options{})
	require.NoError(t, err)
	write(t, path, "alice:"+bcrypt+"\n\nbob:hunter2\ncarol\n")
	err = f.Reload()
	require.ErrorContains(t, err, "password file "+path+": line 3: unusable password hash")
	require.ErrorContains(t, err, "line 4: bad line: no password")
	require.NotContains(t, err.Error(), "hunter2")
	var line *passwdfile.LineError
	require.ErrorAs(t, err, &line)
	require.Equal(t, 3, line.Line)
	_, err = login(f, "alice", "correct horse", "")
	require.NoError(t, err)
	require.Equal(t, 1, f.Table().Len())

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	go func() { defer close(done); f.Watch(ctx, time.Millisecond, nil) }()
	write(t, path, "bob:"+sha512+"\n")
	require.Eventually(t, func() bool { _, err := login(f, "bob", "correct horse", ""); return err == nil }, 10*time.Second, time.Millisecond)
	_, err = login(f, "alice", "correct horse", "")
	require.ErrorIs(t, err, auth.ErrBadCredentials)
	cancel()
	<-done
}

func TestLinesThatCannotBeHonouredAreBad(t *testing.T) {
	good := ":" + sha512
	for text, want := range map[string]error{
		"alice\n":                                                passwdfile.ErrBadLine,
		good + "\n":                                              passwdfile.ErrBadLine,
		" alice" + good:                                          passwdfile.ErrBadLine,
		"al\x01ice" + good:                                       passwdfile.ErrBadLine,
		"al\xffice" + good:                                       passwdfile.ErrBadLine,
		"alice+tag@example.test" + good:                          passwdfile.ErrBadLine,
		strings.Repeat("a", 513) + good:                          passwdfile.ErrBadLine,
		strings.Repeat("a", 5000):                                passwdfile.ErrBadLine,
		"alice" + good + "\nALICE" + good:                        passwdfile.ErrDuplicate,
		"alice:secret":                                           auth.ErrHash,
		"alice:" + apr1:                                          auth.ErrHash,
		"alice:{SCRAM-SHA-256}4096:salt$a:b":                     auth.ErrHash,
		"alice" + good + "::::::allow_nets=":                     passwdfile.ErrBadLine,
		"alice" + good + "::::::allow_nets=x":                    passwdfile.ErrBadLine,
		"alice" + good + "::::::allow_nets=1.2/8":                passwdfile.ErrBadLine,
		"alice" + good + "::::::allow_nets=192.0.2.1,":           passwdfile.ErrBadLine,
		"alice" + good + "::::::allow_nets=::ffff:192.0.2.0/120": passwdfile.ErrBadLine,
		"alice" + good + "::::::allow_real_nets=192.0.2.0/24":    passwdfile.ErrBadLine,
		"alice" + good + "::::::user=a+b":                        passwdfile.ErrBadLine,
		"alice" + good + "::::::allow_nets=" + strings.Repeat("192.0.2.1,", 64) + "192.0.2.1": passwdfile.ErrBadLine,
	} {
		_, err := passwdfile.ReadTable(strings.NewReader(text), passwdfile.Options{})
		require.ErrorIs(t, err, want, "%.60q", text)
		var line *passwdfile.LineError
		require.ErrorAs(t, err, &line, "%.60q", text)
	}
	_, err := passwdfile.ReadTable(strings.NewReader(strings.Repeat("bad\n", 1000)), passwdfile.Options{})
	require.Equal(t, 20, strings.Count(err.Error(), "line "))
}

func TestAllowNetsIsHonoured(t *testing.T) {
	table := read(t, passwdfile.Options{}, "alice:"+sha512+"::::::allow_nets=192.0.2.0/24,2001:db8::/32,198.51.100.7 x=y\n"+
		"local:"+sha512+"::::::allow_nets=local\nanywhere:"+sha512+"::::::\n")
	for from, want := range map[string]bool{
		"192.0.2.77": true, "::ffff:192.0.2.77": true, "2001:db8:1::1": true, "198.51.100.7": true,
		"198.51.100.8": false, "2001:db9::1": false, "": false, "127.0.0.1": false,
	} {
		_, err := login(table, "alice", "correct horse", from)
		require.Equal(t, want, err == nil, "%q", from)
		if !want {
			require.ErrorIs(t, err, auth.ErrBadCredentials)
		}
		_, err = login(table, "local", "correct horse", from)
		require.ErrorIs(t, err, auth.ErrBadCredentials)
		_, err = login(table, "anywhere", "correct horse", from)
		require.NoError(t, err)
	}
	behind := auth.NewCache(table, auth.CacheOptions{})
	_, err := login(behind, "alice", "correct horse", "192.0.2.77")
	require.NoError(t, err)
	_, err = login(behind, "alice", "correct horse", "198.51.100.8")
	require.ErrorIs(t, err, auth.ErrBadCredentials, "what a cache remembers is of one address")
}

func TestLockedAccountsAndEmptyFilesLetNobodyIn(t *testing.T) {
	table := read(t, passwdfile.Options{Verifier: auth.Verifier{AllowClear: true}}, "a:\nb:x\nc:*\nd:!"+sha512+"\ne:!!\nf:*LK*\ng:{PLAIN}g\n")
	require.Equal(t, 7, table.Len())
	for _, user := range []string{"a", "b", "c", "d", "e", "f"} {
		for _, password := range []string{"", "x", "*", "!", "!!", "*LK*", "correct horse", "g"} {
			_, err := login(table, user, password, "")
			require.ErrorIs(t, err, auth.ErrBadCredentials, "%s %q", user, password)
		}
		_, err := table.Secret(t.Context(), user, "PLAIN")
		require.ErrorIs(t, err, auth.ErrBadCredentials)
	}
	for _, text := range []string{"", "# nobody\n", "a:\n"} {
		_, err := login(read(t, passwdfile.Options{}, text), "a", "x", "")
		require.ErrorIs(t, err, auth.ErrBadCredentials)
	}
}

func TestA06SpellingsOfALoginAreOneAccount(t *testing.T) {
	table := read(t, passwdfile.Options{Domain: "example.test"}, "\ufeffAlice:"+ssha512+"\nj\u00fcrgen@Example.Test:"+ssha512+"::::::user=JJ\n")
	for login, want := range map[string]string{
		"alice": "alice@example.test", "ALICE": "alice@example.test", "alice+tag": "alice@example.test", "alice@EXAMPLE.test.": "alice@example.test",
		"ju\u0308rgen": "jj@example.test", "J\u00dcRGEN@example.test": "jj@example.test",
	} {
		id, err := table.Authenticate(t.Context(), auth.Credentials{User: login, Password: "correct horse"})
		require.NoError(t, err, login)
		require.Equal(t, want, id.User)
		name, err := table.AccountName(t.Context(), login)
		require.NoError(t, err, login)
		require.Equal(t, want, name)
	}
	_, err := table.AccountName(t.Context(), "mallory")
	require.ErrorIs(t, err, auth.ErrBadCredentials)
}

func TestAFileTellsWhatItCanCheck(t *testing.T) {
	clear := passwdfile.Options{Verifier: auth.Verifier{AllowClear: true}}
	require.Equal(t, auth.Passwords, auth.ProofsOf(read(t, clear, "a:"+ssha512)))
	require.Equal(t, auth.Passwords|auth.ClearSecrets, auth.ProofsOf(read(t, clear, "a:"+ssha512+"\nb:secret")))
	table := read(t, clear, "a:"+scram+"\nb:"+scram1+"\nc:{PLAIN}secret\n")
	require.Equal(t, auth.Passwords|auth.SCRAMSHA1Secrets|auth.SCRAMSHA256Secrets|auth.ClearSecrets, auth.ProofsOf(table))

	var got auth.Secret
	respond := func(user, scheme string) error {
		_, err := table.Authenticate(t.Context(), auth.Credentials{User: user, Proof: &auth.Response{Scheme: scheme, Check: func(s auth.Secret) bool {
			got = s
			return true
		}}})
		return err
	}
	require.NoError(t, respond("a", "SCRAM-SHA-256"))
	require.Equal(t, "4096:pXna6rFojgW5WfXzw1tOFg==$4jS3o99SObYOynPo8Sic8SxMf8/r0K/Amyy9xrDVeFI=:FW3h6V6UcPKdO7crV9IXXLUMhDTmrhkf+Ykb95eNs0E=", string(got.Value))
	require.NoError(t, respond("c", "PLAIN"))
	require.Equal(t, "secret", string(got.Value))
	for _, c := range [][2]string{{"a", "SCRAM-SHA-1"}, {"a", "PLAIN"}, {"c", "X-UNKNOWN"}, {"mallory", "PLAIN"}, {"mallory", "SCRAM-SHA-256"}} {
		require.ErrorIs(t, respond(c[0], c[1]), auth.ErrBadCredentials, c)
	}
	for _, p := range []auth.Proof{auth.Token("t"), &auth.Certificate{}, auth.Ticket{Name: "a"}} {
		_, err := table.Authenticate(t.Context(), auth.Credentials{User: "c", Password: "secret", Proof: p})
		require.ErrorIs(t, err, auth.ErrBadCredentials)
	}
	secret, err := table.Secret(t.Context(), "c", "SCRAM-SHA-256")
	require.NoError(t, err)
	require.Equal(t, auth.Secret{Scheme: "PLAIN", Value: []byte("secret")}, secret)
}

func TestA14MissingLockedDisabledAndWrongTakeTheSameTime(t *testing.T) {
	hash, err := auth.HashPassword("secret")
	require.NoError(t, err)
	table := read(t, passwdfile.Options{}, "alice:"+hash+"\ncarol:"+hash+"::::::nologin\nlocked:!\nfar:"+hash+"::::::allow_nets=192.0.2.0/24\n")
	fastest := func(user, password string) time.Duration {
		best := time.Hour
		for range 3 {
			began := time.Now()
			_, err := login(table, user, password, "198.51.100.7")
			require.Error(t, err)
			best = min(best, time.Since(began))
		}
		return best
	}
	// A hash takes milliseconds, its absence shows as microseconds: bounds this
	// wide tell them apart on a busy machine too.
	wrong := fastest("alice", "wrong")
	for _, other := range []time.Duration{fastest("mallory", "wrong"), fastest("locked", "secret"), fastest("carol", "secret"), fastest("far", "secret")} {
		require.Less(t, other, 10*wrong)
		require.Greater(t, other, wrong/10)
	}
}

func TestAFileOfAHundredThousandLinesIsReadAndOneLineMoreIsTooMany(t *testing.T) {
	var text strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&text, "user%d@example.test:%s:1000:1000:Somebody:/home/x:/bin/sh:a=b\n", i, ssha512)
	}
	table := read(t, passwdfile.Options{}, text.String())
	require.Equal(t, 100_000, table.Len())
	_, err := login(table, "user99999@example.test", "correct horse", "")
	require.NoError(t, err)
	text.WriteString("more:" + ssha512 + "\n")
	_, err = passwdfile.ReadTable(strings.NewReader(text.String()), passwdfile.Options{})
	require.ErrorIs(t, err, passwdfile.ErrTooMany)
}

func TestFilesThatRealProgramsWriteAreRead(t *testing.T) {
	realtest.Require(t, "htpasswd", "doveadm")
	path := filepath.Join(t.TempDir(), "passwd")
	out, err := exec.Command("htpasswd", "-cbB", path, "alice", "correct horse").CombinedOutput()
	require.NoError(t, err, string(out))
	out, err = exec.Command("htpasswd", "-bm", path, "bob", "correct horse").CombinedOutput()
	require.NoError(t, err, string(out))
	for user, scheme := range map[string]string{"carol": "SSHA512", "dave": "SCRAM-SHA-256", "eve": "SHA512-CRYPT", "frank": "ARGON2ID.b64", "grace": "SSHA256.hex"} {
		hash, err := exec.Command("doveadm", "pw", "-s", scheme, "-u", user, "-p", "correct horse").Output()
		require.NoError(t, err)
		file, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, fmt.Appendf(file, "%s:%s::::::\n", user, strings.TrimSpace(string(hash))), 0o600))
	}
	_, err = passwdfile.Open(path, passwdfile.Options{})
	require.ErrorIs(t, err, auth.ErrHash, "htpasswd -m is MD5")
	f, err := passwdfile.Open(path, passwdfile.Options{Verifier: auth.Verifier{AllowWeak: true}})
	require.NoError(t, err)
	for _, user := range []string{"alice", "bob", "carol", "dave", "eve", "frank", "grace"} {
		_, err := login(f, user, "correct horse", "")
		require.NoError(t, err, user)
		_, err = login(f, user, "correct horsf", "")
		require.ErrorIs(t, err, auth.ErrBadCredentials, user)
	}
}

func FuzzReadTable(f *testing.F) {
	f.Add("alice:"+sha512+":1:1:x:/:/bin/sh\nbob:{PLAIN}b::::::nologin allow_nets=192.0.2.0/24 user=c\n#\n\nx:!\n", "bob", "b")
	f.Add("\ufeffa:{SCRAM-SHA-256}1,a,b,c", "a", "")
	f.Fuzz(func(t *testing.T, text, user, password string) {
		table, err := passwdfile.ReadTable(strings.NewReader(text), passwdfile.Options{Verifier: auth.Verifier{AllowClear: true}, Domain: "example.test"})
		if err != nil {
			require.Nil(t, table)
			return
		}
		if strings.Contains(text, "$") {
			return // slow on purpose
		}
		c := auth.Credentials{User: user, Password: password}
		id, err := table.Authenticate(t.Context(), c)
		if err != nil && !errors.Is(err, auth.ErrBadCredentials) && !errors.Is(err, auth.ErrDisabled) {
			t.Errorf("a table in memory gave %v", err)
		}
		if err == nil {
			require.NotEmpty(t, password)
			name, err := table.AccountName(t.Context(), user)
			require.NoError(t, err)
			require.Equal(t, id.User, name)
		}
	})
}
