package pop3

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/realtest"
	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

func portOf(t *testing.T, address string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	return n
}

func TestP13ProxyInFrontOfThisServer(t *testing.T) {
	s := startWith(t, func(s *Server) { s.PlainAuth = nil }, threeMessages...)
	key := sha256.Sum256(testcert.Server().Certificates[0].Leaf.RawSubjectPublicKeyInfo)
	p := startProxy(t, portOf(t, s.address), func(p *testProxy) {
		p.backend.TLS, p.backend.TLSConfig, p.backend.Pins = mapping.TLSStart, nil, [][sha256.Size]byte{key}
	})
	c := p.dial(t)
	require.Equal(t, "-ERR [AUTH] Authentication failed", c.login("alice", "wrong"))
	require.Equal(t, "+OK Send PASS", c.ask("USER alice\r\nPASS pw\r\nSTAT\r\nRETR 2\r\nDELE 2\r\nQUIT"))
	require.Regexp(t, `^\+OK Maildrop`, c.line())
	require.Equal(t, "+OK 3 121", c.line())
	require.Equal(t, "+OK 39 octets", c.line())
	require.Equal(t, threeMessages[1], c.content())
	require.Equal(t, "+OK Message 2 is deleted", c.line())
	require.Equal(t, "+OK Goodbye", c.line())
	_, err := c.r.ReadByte()
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, 2, s.count(t))

	first, second := p.dial(t), p.dial(t)
	require.Regexp(t, `^\+OK Maildrop`, first.login("alice", "pw"))
	require.Equal(t, "-ERR [IN-USE] The maildrop is open in another session", second.login("alice", "pw"))
}

func dovecot(t *testing.T, extras ...realtest.DovecotExtra) *realtest.Dovecot {
	t.Helper()
	realtest.Require(t, "dovecot")
	realtest.RequireRoot(t)
	d, err := realtest.StartDovecot(t.Context(), 3, extras...)
	require.NoError(t, err)
	t.Cleanup(d.Stop)
	return d
}

// TestP27DovecotLogsTheClientAndTheSession has a back end that trusts the
// proxy, over TLS.
func TestP27DovecotLogsTheClientAndTheSession(t *testing.T) {
	d := dovecot(t, realtest.DovecotTrusts, realtest.DovecotTLS)
	p := startProxy(t, d.POP3, func(p *testProxy) {
		p.backend.TLS = mapping.TLSStart
		p.PlainAuth = func(netip.Addr) bool { return true }
	})
	local := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	nc, err := local.DialContext(t.Context(), "tcp", p.address)
	require.NoError(t, err)
	defer nc.Close()
	_, err = io.WriteString(nc, "USER user0\r\nPASS wrong\r\nUSER user0\r\nPASS pw\r\nSTAT\r\nQUIT\r\n")
	require.NoError(t, err)
	require.NoError(t, nc.SetDeadline(time.Now().Add(time.Minute)))
	said, err := io.ReadAll(nc)
	require.NoError(t, err)
	require.Regexp(t, `(?s)^\+OK .*\+OK Send PASS\r\n-ERR \[AUTH\] Authentication failed\r\n\+OK Send PASS\r\n\+OK Logged in\.\r\n\+OK 0 0\r\n\+OK Logging out\.\r\n$`, string(said))

	session := regexp.MustCompile(`msg="logged in" session=([0-9a-z]+) remote=127.0.0.9`).FindStringSubmatch(p.log.String())
	require.NotNil(t, session, p.log.String())
	login := regexp.MustCompile(`Login: user=<user0>.*rip=127\.0\.0\.9.*session=<` + session[1] + `>`)
	require.Eventually(t, func() bool { return login.MatchString(d.Log()) }, time.Minute, 10*time.Millisecond, d.Log())
}

func TestP23DovecotThatDoesNotTrustIsToldNothing(t *testing.T) {
	d := dovecot(t)
	p := startProxy(t, d.POP3, func(p *testProxy) {
		p.Auth = auth.AuthenticatorFunc(users)
		p.Front.Mapper = mapping.MapperFunc(func(context.Context, string) (mapping.Route, error) {
			return mapping.Route{Host: "127.0.0.1", Port: d.POP3, User: "user1"}, nil
		})
		p.backend.Tell = proxy.TellXCLIENT // not announced: not said
	})
	require.Equal(t, "+OK Logged in.", p.dial(t).login("alice", "pw"), "the same password under another name")
	require.Contains(t, p.log.String(), fmt.Sprintf("127.0.0.1:%d,user=user1", d.POP3))
	require.False(t, strings.Contains(d.Log(), "XCLIENT"))
}
