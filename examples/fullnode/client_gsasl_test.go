package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// TestGSASLLogsInWithSCRAM logs in with GNU SASL: in the clear, where no
// password may be shown, and bound to the TLS connection.
func TestGSASLLogsInWithSCRAM(t *testing.T) {
	realtest.Require(t, "gsasl")
	n := startNode(t, "plaintext_auth = \"never\"\n")
	gsasl := func(args ...string) []string {
		return append([]string{"--client", "--verbose", "--x509-ca-file=", "--authentication-id", n.user}, args...)
	}
	for _, service := range [][]string{{"--imap", "--connect", n.address["IMAP"]}, {"--smtp", "--connect", n.address["submission"]}} {
		for _, how := range [][]string{
			{"--mechanism", "SCRAM-SHA-256", "--no-starttls"},
			{"--mechanism", "SCRAM-SHA-256", "--starttls", "--no-cb"},
			{"--mechanism", "SCRAM-SHA-256-PLUS", "--starttls"},
			{"--mechanism", "SCRAM-SHA-256-PLUS", "--starttls", "--priority", "NORMAL:-VERS-TLS1.3"},
			{"--starttls"}, // as it chooses itself
		} {
			args := append(gsasl("--password", n.password), append(service, how...)...)
			require.Contains(t, runTool(t, n.dir, "gsasl", args...), "Client authentication finished (server trusted)", "%v", args)
		}
		args := append(gsasl("--password", "wrong"), append(service, "--mechanism", "SCRAM-SHA-256", "--no-starttls")...)
		out, err := toolOutput(t, n.dir, "gsasl", args...)
		require.Error(t, err, out)
		require.NotContains(t, out, "finished")
	}
}
