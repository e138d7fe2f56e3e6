package clients

import (
	"net"
	"strings"
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
// once, and returns the dialogue.
func SwaksLMTP(t testing.TB, address, subject string, to []string, more ...string) string {
	t.Helper()
	realtest.Require(t, "swaks")
	host, port, _ := net.SplitHostPort(address)
	args := []string{"--protocol", "LMTP", "--server", host, "--port", port, "--from", "someone@example.org", "--header", "Subject: " + subject}
	return Run(t, t.TempDir(), "swaks", append(append(args, "--to", strings.Join(to, ",")), more...)...)
}
