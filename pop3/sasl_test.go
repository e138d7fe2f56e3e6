package pop3

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth/authtest"
	"github.com/posthouse-mail/posthouse/internal/dialogue"
)

// inTheClear makes a server that knows alice by everything, and takes no
// password without TLS.
func inTheClear(s *Server) {
	s.Auth = authtest.Account{User: "alice", Password: "secret", Token: strings.Repeat("x", 12<<10)}
	s.PlainAuth = nil
}

func dialTest(t *testing.T, address string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	return nc
}

func TestSASLDialogues(t *testing.T) {
	for file, how := range map[string]struct{ mechanism, password string }{
		"scram": {"SCRAM-SHA-256", "secret"}, "plus": {"SCRAM-SHA-256-PLUS", "secret"}, "wrong": {"SCRAM-SHA-256", "wrong"}, "old": {},
	} {
		t.Run(file, func(t *testing.T) {
			s := startWith(t, func(s *Server) {
				inTheClear(s)
				if file == "old" {
					s.SASL.Plain = []string{"CRAM-MD5", "DIGEST-MD5"}
				}
			})
			dialogue.RunWith(t, dialTest(t, s.address), "testdata/sasl/"+file+".txt", authtest.Answers(how.mechanism, "alice", how.password))
		})
	}
}

func TestA11LongTokensLogInAndHugeOnesDoNot(t *testing.T) {
	s := startWith(t, func(s *Server) { inTheClear(s); s.PlainAuth = netip.Addr.IsLoopback })
	response := func(n int) string {
		return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "user=alice\x01auth=Bearer %s\x01\x01", strings.Repeat("x", n)))
	}
	for name, text := range map[string]string{
		"initial": "S~ .*\nC: AUTH XOAUTH2 " + response(12<<10) + "\nS~ \\+OK Maildrop .*\n",
		"asked":   "S~ .*\nC: AUTH XOAUTH2\nS: + \nC: " + response(12<<10) + "\nS~ \\+OK Maildrop .*\n",
	} {
		dialogue.Play(t, dialTest(t, s.address), name, text)
		s.ended(t) // and has given the maildrop back
	}
	for _, before := range []string{"AUTH XOAUTH2 ", "AUTH XOAUTH2\r\n"} {
		nc := dialTest(t, s.address)
		go func() { _, _ = io.WriteString(nc, before+response(1<<20)+"\r\nQUIT\r\n") }()
		said, _ := io.ReadAll(nc) // it may end with a reset: much was not read
		require.NotContains(t, string(said), "+OK Maildrop")
	}
}
