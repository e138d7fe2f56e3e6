package clients

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// GSASL logs in with GNU SASL to a service that it knows, "imap" or "smtp", with
// arguments that name the mechanism.
func (a *Account) GSASL(t testing.TB, protocol string, s Service, args ...string) {
	t.Helper()
	out, err := a.gsasl(t, protocol, s, a.Password, args)
	require.NoError(t, err, out)
	require.Contains(t, out, "Client authentication finished", "%v", args)
}

// GSASLIsRefused is GSASL with a wrong password.
func (a *Account) GSASLIsRefused(t testing.TB, protocol string, s Service, args ...string) {
	t.Helper()
	out, err := a.gsasl(t, protocol, s, "wrong", args)
	require.Error(t, err, out)
	require.NotContains(t, out, "finished")
}

func (a *Account) gsasl(t testing.TB, protocol string, s Service, password string, args []string) (string, error) {
	t.Helper()
	realtest.Require(t, "gsasl")
	all := []string{"--client", "--verbose", "--" + protocol, "--connect", a.at(s), "--authentication-id", a.User, "--password", password}
	switch a.TLS {
	case NoTLS:
		all = append(all, "--no-starttls")
	case StartTLS:
		all = append(all, "--starttls", "--x509-ca-file="+a.Authorities)
	}
	return Output(t, t.TempDir(), "gsasl", append(all, args...)...)
}
