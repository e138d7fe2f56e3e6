package managesieve

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/authtest"
	"github.com/posthouse-mail/posthouse/internal/realtest"
	"github.com/posthouse-mail/posthouse/mapping"
)

// dovecot starts a Dovecot with ManageSieve, of Debian's packages dovecot-sieve
// and dovecot-managesieved.
func dovecot(t *testing.T, extras ...realtest.DovecotExtra) *realtest.Dovecot {
	t.Helper()
	realtest.Require(t, "dovecot")
	realtest.RequireRoot(t)
	if _, err := os.Stat("/usr/lib/dovecot/managesieve-login"); err != nil {
		realtest.Missing(t, "dovecot-managesieved")
	}
	d, err := realtest.StartDovecot(t.Context(), 3, append(extras, realtest.DovecotSieve)...)
	require.NoError(t, err)
	t.Cleanup(d.Stop)
	return d
}

// TestP27DovecotLogsTheClientAndTheSession has a back end that trusts the
// proxy, over TLS.
func TestP27DovecotLogsTheClientAndTheSession(t *testing.T) {
	d := dovecot(t, realtest.DovecotTrusts, realtest.DovecotTLS)
	p := startProxy(t, d.Sieve, func(p *testProxy) {
		p.backend.TLS = mapping.TLSStart
		p.PlainAuth = func(netip.Addr) bool { return true }
	})
	local := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	nc, err := local.DialContext(t.Context(), "tcp", p.address)
	require.NoError(t, err)
	defer nc.Close()
	require.NoError(t, nc.SetDeadline(time.Now().Add(time.Minute)))
	c := &client{t, nc, bufio.NewReader(nc)}
	c.result()
	require.Equal(t, `NO "Authentication failed"`, c.ask(`AUTHENTICATE "PLAIN" "AHVzZXIwAHdyb25n"`))
	_, err = io.WriteString(c, "AUTHENTICATE \"PLAIN\" \"AHVzZXIwAHB3\"\r\nPUTSCRIPT \"a\" {6+}\r\nkeep;\n\r\nLISTSCRIPTS\r\n")
	require.NoError(t, err)
	require.Equal(t, `OK "Logged in."`, c.result())
	require.Regexp(t, `^OK`, c.result())
	require.Equal(t, `"a"`, c.line())
	require.Regexp(t, `^OK`, c.result())
	require.Regexp(t, `^OK`, c.ask("LOGOUT"))

	session := regexp.MustCompile(`msg="logged in" session=([0-9a-z]+) remote=127.0.0.9`).FindStringSubmatch(p.log.String())
	require.NotNil(t, session, p.log.String())
	login := regexp.MustCompile(`managesieve-login: Info: Login: user=<user0>.*rip=127\.0\.0\.9.*session=<` + session[1] + `>`)
	require.Eventually(t, func() bool { return login.MatchString(d.Log()) }, time.Minute, 10*time.Millisecond, d.Log())
}

func TestP23DovecotThatDoesNotTrustIsToldNothing(t *testing.T) {
	d := dovecot(t)
	p := startProxy(t, d.Sieve, func(p *testProxy) {
		p.Auth = authtest.Account{User: "alice", Password: "pw"}
		p.Front.Mapper = mapping.MapperFunc(func(context.Context, string) (mapping.Route, error) {
			return mapping.Route{Host: "127.0.0.1", Port: d.Sieve, User: "user1"}, nil
		})
		p.SASL = auth.Policy{}
	})
	c := p.client(t)
	require.Equal(t, `OK "Logged in."`, c.ask(alice), "the same password under another name")
	require.Regexp(t, `^OK`, c.ask("LISTSCRIPTS"))
	require.False(t, strings.Contains(d.Log(), "trusted"))
}
