package imap

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth/authtest"
	"github.com/posthouse-mail/posthouse/auth/certauth"
	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/internal/dialogue"
	"github.com/posthouse-mail/posthouse/internal/testcert"
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
			_, address := newServer(t, func(s *Server) {
				inTheClear(s)
				if file == "old" {
					s.SASL.Plain = []string{"CRAM-MD5", "DIGEST-MD5"}
				}
			})
			dialogue.RunWith(t, dialTest(t, address), "testdata/sasl/"+file+".txt", authtest.Answers(how.mechanism, "alice", how.password))
		})
	}
}

func TestA11LongTokensLogInAndHugeOnesDoNot(t *testing.T) {
	_, address := newServer(t, func(s *Server) { inTheClear(s); s.PlainAuth = netip.Addr.IsLoopback })
	response := func(n int) string {
		return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "user=alice\x01auth=Bearer %s\x01\x01", strings.Repeat("x", n)))
	}
	for name, text := range map[string]string{
		"initial": "S~ .*\nC: a AUTHENTICATE XOAUTH2 " + response(12<<10) + "\nS~ a OK .*\n",
		"asked":   "S~ .*\nC: a AUTHENTICATE XOAUTH2\nS: + \nC: " + response(12<<10) + "\nS~ a OK .*\n",
	} {
		dialogue.Play(t, dialTest(t, address), name, text)
	}
	for _, before := range []string{"a AUTHENTICATE XOAUTH2 ", "a AUTHENTICATE XOAUTH2\r\n"} {
		nc := dialTest(t, address)
		go func() { _, _ = io.WriteString(nc, before+response(1<<20)+"\r\nb LOGOUT\r\n") }()
		said, _ := io.ReadAll(nc) // it may end with a reset: much was not read
		require.NotContains(t, string(said), "a OK")
	}
}

// certified is a directory of one account, whose login is the common name of
// the tests' certificate.
type certified struct{}

func (certified) Account(_ context.Context, login string) (directory.Account, error) {
	if login != "localhost" && login != "alice" {
		return directory.Account{}, directory.ErrUnknown
	}
	return directory.Account{Name: "alice"}, nil
}

func TestExternalLogsInByClientCertificate(t *testing.T) {
	_, address := newServer(t, func(s *Server) {
		s.Auth, s.PlainAuth = certauth.New(certified{}, certauth.CommonName), nil
		s.TLS.ClientAuth, s.TLS.ClientCAs = tls.VerifyClientCertIfGiven, testcert.Client().RootCAs
	})
	for _, certificates := range [][]tls.Certificate{nil, testcert.Server().Certificates} {
		nc := dialTest(t, address)
		in := bufio.NewReader(nc)
		_, err := io.WriteString(nc, "a STARTTLS\r\n")
		require.NoError(t, err)
		for range 2 {
			line, err := in.ReadString('\n')
			require.NoError(t, err)
			require.NotContains(t, line, "AUTH=", "there is no certificate yet")
		}
		config := testcert.Client()
		config.Certificates = certificates
		text := "C: b CAPABILITY\nS: * CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ ENABLE ID SASL-IR LOGINDISABLED\nS: b OK CAPABILITY completed\n" +
			"C: c AUTHENTICATE EXTERNAL =\nS: c NO Unsupported authentication mechanism\n"
		if certificates != nil {
			text = "C: b CAPABILITY\nS: * CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ ENABLE ID SASL-IR LOGINDISABLED AUTH=EXTERNAL\nS: b OK CAPABILITY completed\n" +
				"C: c AUTHENTICATE EXTERNAL Ym9i\nS: c NO [AUTHENTICATIONFAILED] Authentication failed\n" +
				"C: d AUTHENTICATE EXTERNAL\nS: + \nC: \nS~ d OK .*\n"
		}
		dialogue.Play(t, tls.Client(nc, config), "EXTERNAL", text)
	}
}
