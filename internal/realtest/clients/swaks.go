package clients

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// SwaksSubmits has swaks send a message to somebody.
func (a *Account) SwaksSubmits(t testing.TB, to string) {
	realtest.Require(t, "swaks")
	host, port := a.hostPort(a.Submission)
	args := []string{"--server", host, "--port", port, "--from", a.User, "--to", to,
		"--auth", "PLAIN", "--auth-user", a.User, "--auth-password", a.Password, "--header", "Subject: sent by swaks from " + a.User}
	if a.TLS != NoTLS {
		args = append(args, a.by("", "--tls", "--tls-on-connect"), "--tls-verify", "--tls-ca-path", a.Authorities)
	}
	require.Regexp(t, `<[-~]\s+250 2\.0\.0`, Run(t, t.TempDir(), "swaks", args...))
}

// SwaksLMTP has swaks hand a message over to an LMTP server for some people at
// once.
func SwaksLMTP(t testing.TB, address, subject string, to ...string) string {
	t.Helper()
	realtest.Require(t, "swaks")
	host, port, _ := net.SplitHostPort(address)
	args := []string{"--protocol", "LMTP", "--server", host, "--port", port, "--from", "someone@example.org", "--header", "Subject: " + subject}
	for _, rcpt := range to {
		args = append(args, "--to", rcpt)
	}
	return Run(t, t.TempDir(), "swaks", args...)
}

// SieveConnect has sieve-connect put a script, activate, list, get and remove
// it.
func (a *Account) SieveConnect(t testing.TB) {
	realtest.Require(t, "sieve-connect")
	dir := t.TempDir()
	host, port := a.hostPort(a.Sieve)
	const text = "require [\"fileinto\"];\nfileinto \"Elsewhere\";\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "script"), []byte(text), 0o600))
	sieve := func(args ...string) string {
		t.Helper()
		all := []string{"--server", host, "--port", port, "--user", a.User, "--passwordfd", "0"}
		all = append(all, a.by("--clearchan", "--tlscafile="+a.Authorities, "")) // there is no third way
		cmd, cancel := command(t, dir, "sieve-connect", append(all, args...)...)
		defer cancel()
		password, err := os.Open(filepath.Join(dir, "password"))
		require.NoError(t, err)
		defer password.Close()
		cmd.Stdin = password
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%v: %s", args, out)
		return string(out)
	}
	writeFile(t, filepath.Join(dir, "password"), a.Password)
	sieve("--upload", "--localsieve", "script", "--remotesieve", "rules")
	sieve("--activate", "--remotesieve", "rules")
	require.Regexp(t, `"?rules"? ACTIVE`, sieve("--list"))
	sieve("--download", "--remotesieve", "rules", "--localsieve", "back")
	back, err := os.ReadFile(filepath.Join(dir, "back"))
	require.NoError(t, err)
	require.Equal(t, text, string(back))
	sieve("--deactivate")
	sieve("--delete", "--remotesieve", "rules")
	require.NotContains(t, sieve("--list"), "rules")
}
