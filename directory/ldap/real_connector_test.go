package ldap

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
	"github.com/posthouse-mail/posthouse/internal/testcert"
)

// anonymously is a configuration without a service account.
func anonymously(uris ...string) Config {
	c := atSlapd(uris...)
	c.BindDN, c.BindPassword = "", ""
	return c
}

func findUser(t *testing.T, c *Connector, user string) *Entry {
	t.Helper()
	e, err := c.Lookup(t.Context(), user, "userPassword")
	require.NoError(t, err)
	return e
}

func TestR3421ConnectorSearchesAnonymouslyAndBound(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{})
	anonymous, bound := connectReal(t, anonymously(s.URI())), connectReal(t, atSlapd(s.URI()))
	for _, user := range []string{"user1@example.test", "alias1@example.test", "USER1@Example.Test"} {
		e := findUser(t, anonymous, user)
		require.Equal(t, realtest.SlapdUser(1), e.DN, user)
		require.Equal(t, "backend1.example.test", e.Get("mailHost"))
		require.Empty(t, e.Get("userPassword"), "the server hides it")
		require.NotEmpty(t, findUser(t, bound, user).Get("userPassword"))
	}
	_, err := bound.Lookup(t.Context(), "nobody@example.test")
	require.ErrorIs(t, err, ErrNoEntry)
	found, err := bound.Search(t.Context(), Query{Base: realtest.SlapdPeople, Scope: OneLevel, Filter: "(uid=user*)"})
	require.NoError(t, err)
	require.Len(t, found, 10)
	found, err = bound.Search(t.Context(), Query{Filter: "(uid=nobody)"})
	require.NoError(t, err)
	require.Empty(t, found)
}

func TestR3421ConnectorRefusedSearchIsNoUnknownUser(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{Global: "require authc"})
	_, err := connectReal(t, anonymously(s.URI())).Lookup(t.Context(), "user1@example.test")
	require.ErrorIs(t, err, ErrUnavailable)
	require.Contains(t, strings.ToLower(err.Error()), "authentication required")

	c := atSlapd(s.URI())
	c.BindPassword = "not the reader's"
	_, err = connectReal(t, c).Lookup(t.Context(), "user1@example.test")
	require.ErrorIs(t, err, ErrUnavailable)
	require.NotErrorIs(t, err, ErrPassword, "the service account's password is not the user's")
	require.NotContains(t, err.Error(), c.BindPassword)
}

func TestR3421ConnectorBindsUsers(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{})
	c := connectReal(t, atSlapd(s.URI()))
	require.NoError(t, c.Bind(t.Context(), realtest.SlapdUser(1), "pw"))
	require.NoError(t, c.Bind(t.Context(), realtest.SlapdPerson("plain"), "pw"))
	for dn, password := range map[string]string{
		realtest.SlapdUser(1): "wrong", realtest.SlapdUser(2): "", realtest.SlapdPerson("nopassword"): "pw", realtest.SlapdPerson("nobody"): "pw",
	} {
		require.ErrorIs(t, c.Bind(t.Context(), dn, password), ErrPassword, dn)
	}
	require.NotEmpty(t, findUser(t, c, "user1@example.test").Get("userPassword"), "searches are still the reader's")
}

func TestA01RealServerTakesWhatAUserWroteAsTextAlone(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{})
	c := connectReal(t, atSlapd(s.URI()))
	for _, user := range []string{
		"*", "user*", "user1)(uid=*", "*)(uid=user1", `\75ser1`, `\2a`, "user1\x00", "a,ou=people", "ü*@example.test", strings.Repeat("a*", 32<<10),
	} {
		_, err := c.Lookup(t.Context(), user)
		require.ErrorIs(t, err, ErrNoEntry, "%.40q", user)
	}
	weird := `we*ird)(\,"x`
	require.NoError(t, s.Add(realtest.SlapdPerson("weird"), realtest.Person("weird", realtest.Attributes{"uid": {"weird", weird}})))
	require.Equal(t, realtest.SlapdPerson("weird"), findUser(t, c, weird).DN)
}

func TestA04RealServerWithTwoEntriesForAUser(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{})
	c := atSlapd(s.URI())
	_, err := connectReal(t, c).Lookup(t.Context(), "twin@example.test")
	require.ErrorIs(t, err, ErrSeveral)
	c.Several = SeveralIsFirst
	require.Contains(t, findUser(t, connectReal(t, c), "twin@example.test").DN, "uid=twin")
}

func TestA04RealServerWithSizeLimitsGivesNoHalfAnswer(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{Global: "sizelimit 5"})
	all := Query{Filter: "(objectClass=inetOrgPerson)"}
	c := connectReal(t, anonymously(s.URI()))
	found, err := c.Search(t.Context(), all)
	require.ErrorIs(t, err, ErrUnavailable)
	require.Empty(t, found)
	require.Equal(t, realtest.SlapdUser(1), findUser(t, c, "user1@example.test").DN)

	config := atSlapd(s.URI()) // whom the server does not limit
	config.MaxEntries = 5
	found, err = connectReal(t, config).Search(t.Context(), all)
	require.ErrorIs(t, err, ErrUnavailable)
	require.Empty(t, found)
	config.MaxEntries = 16
	found, err = connectReal(t, config).Search(t.Context(), all)
	require.NoError(t, err)
	require.Len(t, found, 16)
}

func TestA04RealServerWithAnAttributeOf10MB(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{Global: "sockbuf_max_incoming_auth 33554432"})
	require.NoError(t, s.Set(realtest.SlapdUser(1), "description", strings.Repeat("x", 10<<20)))
	c := connectReal(t, atSlapd(s.URI()))
	_, err := c.Lookup(t.Context(), "user1@example.test", "description")
	require.ErrorIs(t, err, ErrUnavailable)
	require.Equal(t, realtest.SlapdUser(1), findUser(t, c, "user1@example.test").DN, "it is not asked for")
	require.Equal(t, realtest.SlapdUser(2), findUser(t, c, "user2@example.test").DN)
}

// TestR3421ConnectorVerifiesTheServerBeforeItTellsAnything proves that a server
// with the wrong name or certificate gets no password.
func TestR3421ConnectorVerifiesTheServerBeforeItTellsAnything(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{Global: "security simple_bind=128\nlocalSSF 256"}) // no password in clear text
	start := atSlapd(s.URI())
	start.StartTLS = true
	secure := atSlapd(s.SecureURI())
	for _, c := range []Config{start, secure} {
		c.TLS = testcert.Client()
		require.Equal(t, realtest.SlapdUser(1), findUser(t, connectReal(t, c), "user1@example.test").DN)
		require.NoError(t, connectReal(t, c).Bind(t.Context(), realtest.SlapdUser(1), "pw"))
		c.TLS = &tls.Config{RootCAs: c.TLS.RootCAs} // the name is the URI's
		require.Equal(t, realtest.SlapdUser(1), findUser(t, connectReal(t, c), "user1@example.test").DN)
	}
	_, err := connectReal(t, atSlapd(s.SocketURI())).Lookup(t.Context(), "user1@example.test")
	require.NoError(t, err, "a socket counts as secure there")

	wrong := map[string]*tls.Config{
		"name": {RootCAs: testcert.Client().RootCAs, ServerName: "other.example.test"},
		"CA":   {RootCAs: x509.NewCertPool(), ServerName: "localhost"},
	}
	for what, config := range wrong {
		heard := eavesdrop(t, fmt.Sprintf("127.0.0.1:%d", s.LDAP), nil)
		start.URIs, start.TLS = []string{"ldap://" + heard.address}, config
		heardTLS := eavesdrop(t, fmt.Sprintf("127.0.0.1:%d", s.LDAP), testcert.Server())
		secure.URIs, secure.TLS = []string{"ldaps://" + heardTLS.address}, config
		for _, c := range []Config{start, secure} {
			connector := connectReal(t, c)
			_, err := connector.Lookup(t.Context(), "user1@example.test")
			require.ErrorIs(t, err, ErrUnavailable, "wrong %s", what)
			err = connector.Bind(t.Context(), realtest.SlapdUser(1), "pw")
			require.ErrorIs(t, err, ErrUnavailable, "wrong %s", what)
		}
		require.NotEmpty(t, heard.all(), "the request for TLS")
		require.NotContains(t, heard.all(), realtest.SlapdReaderPassword)
		require.NotContains(t, heard.all(), "uid=user1")
		require.Empty(t, heardTLS.all())
	}
}

// ear is a relay that keeps what clients send, after TLS when it has a
// certificate.
type ear struct {
	address string
	mu      sync.Mutex
	heard   bytes.Buffer
}

func eavesdrop(t *testing.T, server string, certificate *tls.Config) *ear {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	if certificate != nil {
		l = tls.NewListener(l, certificate)
	}
	e := &ear{address: l.Addr().String()}
	var relays sync.WaitGroup
	t.Cleanup(func() { l.Close(); relays.Wait() })
	relays.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			relays.Go(func() {
				defer client.Close()
				up, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				relays.Go(func() { _, _ = io.Copy(client, up); client.Close() })
				_, _ = io.Copy(io.MultiWriter(up, e), client)
				up.Close()
			})
		}
	})
	return e
}

func (e *ear) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.heard.Write(b)
}

func (e *ear) all() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.heard.String()
}
