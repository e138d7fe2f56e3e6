package clients

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// SieveConnect has sieve-connect put a script that files all mail into
// Elsewhere, activate, list, get and remove it. It uses STARTTLS in any case.
func (a *Account) SieveConnect(t testing.TB, whileActive func()) {
	realtest.Require(t, "sieve-connect")
	dir := t.TempDir()
	host, port, _ := net.SplitHostPort(a.Sieve.Plain)
	const text = "require [\"fileinto\", \"mailbox\"];\nfileinto :create \"Elsewhere\";\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "script"), []byte(text), 0o600))
	writeFile(t, filepath.Join(dir, "password"), a.Password)
	sieve := func(commands ...string) string {
		t.Helper()
		writeFile(t, filepath.Join(dir, "commands"), commands...)
		cmd, cancel := command(t, dir, "sieve-connect", "--server", host, "--port", port, "--user", a.User, "--passwordfd", "0",
			"--tlscafile="+a.Authorities, "--exec", "commands")
		defer cancel()
		password, err := os.Open(filepath.Join(dir, "password"))
		require.NoError(t, err)
		defer password.Close()
		cmd.Stdin = password
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%v: %s", commands, out)
		return string(out)
	}
	require.Regexp(t, `"?rules"? ACTIVE`, sieve("put script rules", "activate rules", "list", "get rules back"))
	back, err := os.ReadFile(filepath.Join(dir, "back"))
	require.NoError(t, err)
	require.Equal(t, text, string(back))
	whileActive()
	require.NotContains(t, sieve("deactivate", "delete rules", "list"), `"rules"`)
}
