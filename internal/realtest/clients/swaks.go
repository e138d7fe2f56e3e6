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
	t.Helper()
	said, err := a.swaks(t, a.User, to)
	require.NoError(t, err, said)
	require.Regexp(t, `<[-~]\s+250 2\.0\.0`, said)
}

// SwaksIsRefused has swaks send a message in the name of somebody else, which
// the server refuses (553 5.7.1).
func (a *Account) SwaksIsRefused(t testing.TB, from string) {
	t.Helper()
	said, err := a.swaks(t, from, a.User)
	require.Error(t, err, said)
	require.Regexp(t, `<[*~]{2}\s+553 5\.7\.1`, said)
}

func (a *Account) swaks(t testing.TB, from, to string) (string, error) {
	t.Helper()
	realtest.Require(t, "swaks")
	host, port := a.hostPort(a.Submission)
	args := []string{"--server", host, "--port", port, "--from", from, "--to", to,
		"--auth", "PLAIN", "--auth-user", a.User, "--auth-password", a.Password, "--header", "Subject: sent by swaks from " + a.User}
	if a.TLS != NoTLS {
		args = append(args, a.by("", "--tls", "--tls-on-connect"), "--tls-verify", "--tls-ca-path", a.Authorities)
	}
	return Output(t, t.TempDir(), "swaks", args...)
}

// Swaks has swaks hand a message over by SMTP or LMTP for some people at once,
// and returns the dialogue. It fails when all of them are refused.
func Swaks(t testing.TB, protocol, address, subject string, to []string, more ...string) string {
	t.Helper()
	realtest.Require(t, "swaks")
	host, port, _ := net.SplitHostPort(address)
	args := []string{"--protocol", protocol, "--server", host, "--port", port, "--from", "someone@example.org", "--header", "Subject: " + subject}
	return Run(t, t.TempDir(), "swaks", append(append(args, "--to", strings.Join(to, ",")), more...)...)
}
