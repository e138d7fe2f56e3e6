package smtp

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth/authtest"
	"github.com/posthouse-mail/posthouse/internal/dialogue"
)

// saslServer serves with every mechanism that is not for old clients alone.
func saslServer() *Server {
	s := newServer(&box{})
	s.Auth = authtest.Account{User: "alice", Password: "secret", Token: strings.Repeat("x", 12<<10)}
	s.PlainAuth = nil
	return s
}

func TestSASLDialogues(t *testing.T) {
	for file, how := range map[string]struct{ mechanism, password string }{
		"scram": {"SCRAM-SHA-256", "secret"}, "plus": {"SCRAM-SHA-256-PLUS", "secret"}, "wrong": {"SCRAM-SHA-256", "wrong"}, "old": {},
	} {
		t.Run(file, func(t *testing.T) {
			s := saslServer()
			if file == "old" {
				s.SASL.Plain = []string{"CRAM-MD5", "DIGEST-MD5"}
			}
			dialogue.RunWith(t, dial(t, start(t, s)), "testdata/sasl/"+file+".txt", authtest.Answers(how.mechanism, "alice", how.password))
		})
	}
}

func TestA11LongTokensLogInAndHugeOnesDoNot(t *testing.T) {
	s := saslServer()
	s.PlainAuth = netip.Addr.IsLoopback
	address := start(t, s)
	response := func(n int) string {
		return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "user=alice\x01auth=Bearer %s\x01\x01", strings.Repeat("x", n)))
	}
	const begin = "S~ 220 .*\nC: HELO c\nS~ 250 .*\nC: AUTH XOAUTH2\nS: 334 \n"
	dialogue.Play(t, dial(t, address), "12 KiB", begin+"C: "+response(12<<10)+"\nS: 235 2.7.0 Authentication succeeded\n")
	nc := dial(t, address)
	go func() { _, _ = io.WriteString(nc, "HELO c\r\nAUTH XOAUTH2\r\n"+response(1<<20)+"\r\n") }()
	said, _ := io.ReadAll(nc) // it may end with a reset: much was not read
	require.NotContains(t, string(said), "235 ")
}
