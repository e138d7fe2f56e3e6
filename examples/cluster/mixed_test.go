package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/examples/internal/config"
	"github.com/posthouse-mail/posthouse/internal/realtest"
	"github.com/posthouse-mail/posthouse/internal/realtest/clients"
)

// mixed is a cluster whose second back end is a Dovecot, with front ends that
// reach back ends in different ways.
type mixed struct {
	cluster
	t       testing.TB
	dovecot *realtest.Dovecot
	postfix *realtest.Postfix // takes what users of the Dovecot submit
	users   atomic.Int32
}

// The front ends of a mixed cluster.
const (
	overTLS = 1 + iota // reaches back ends over TLS, which check passwords
	checks             // checks passwords in the directory, reaches back ends without TLS, and has a queue
	master             // logs in as a master user, after it has checked passwords
	frontEnds
)

// ours and theirs are the back ends of a mixed cluster.
const (
	ours = 1 + iota
	theirs
)

var backEnds = map[string]int{"Posthouse": ours, "Dovecot": theirs}

// dovecotUsers is how many users the directory may get.
const dovecotUsers = 200

// startMixed starts a mixed cluster, which ends with the test.
func startMixed(t *testing.T) *mixed {
	t.Helper()
	realtest.Require(t, "slapd", "ldapadd", "dovecot", "postfix")
	realtest.RequireRoot(t)
	for _, part := range []string{"submission", "managesieve"} {
		if _, err := os.Stat("/usr/lib/dovecot/" + part + "-login"); err != nil {
			realtest.Missing(t, "a part of Dovecot for "+part)
		}
	}
	dir, err := os.MkdirTemp("", "mixed")
	require.NoError(t, err)
	m := &mixed{t: t, cluster: cluster{dir: dir, network: fmt.Sprintf("127.%d.%d", 200+rand.IntN(50), rand.IntN(256))}}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var fronts []*process
	t.Cleanup(func() {
		for _, p := range fronts {
			require.NoError(t, p.stop())
		}
		require.NoError(t, m.stop())
		if m.dovecot != nil {
			m.dovecot.Stop()
		}
		if m.postfix != nil {
			m.postfix.Stop()
		}
		os.RemoveAll(dir)
	})
	require.NoError(t, m.build(ctx))
	require.NoError(t, m.startDirectory(ctx))
	require.NoError(t, m.startBack(ctx, ours))
	m.postfix, err = realtest.StartPostfix(ctx, realtest.PostfixRoutes{"example.test": "lmtp:inet:[" + m.front(overTLS) + "]:1024"})
	require.NoError(t, err)
	m.startDovecot(ctx)
	require.NoError(t, m.writeAuthorities())
	m.writeFile("master", "mastersecret\n")
	for n := overTLS; n < frontEnds; n++ {
		name := fmt.Sprintf("frontend%d", n)
		_, err := config.TLS{}.Open(filepath.Join(dir, name), m.front(n)) // clients look for its address in its certificate
		require.NoError(t, err)
		p, err := m.program(ctx, "frontend", name, m.frontConfig(n))
		require.NoError(t, err)
		fronts = append(fronts, p)
	}
	return m
}

// log is what a program has said.
func (m *mixed) log(name string) string {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(m.dir, name+".log"))
	require.NoError(m.t, err)
	return string(text)
}

func (m *mixed) writeFile(name, text string) {
	m.t.Helper()
	require.NoError(m.t, os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o600))
}

// startDovecot starts the second back end, at the same ports as the first.
func (m *mixed) startDovecot(ctx context.Context) {
	m.t.Helper()
	_, err := config.TLS{}.Open(filepath.Join(m.dir, "backend2"), m.back(theirs))
	require.NoError(m.t, err)
	m.dovecot, err = realtest.StartDovecotBackend(ctx, realtest.DovecotBackend{
		Users: dovecotUsers, Address: m.back(theirs), IMAP: 2143, POP3: 2110, LMTP: 2524, Sieve: 2419, Submission: 2587,
		Certificate: filepath.Join(m.dir, "backend2/tls/cert.pem"), Key: filepath.Join(m.dir, "backend2/tls/key.pem"),
		Fronts: []string{m.front(overTLS), m.front(checks), m.front(master)}, MasterUser: "front", MasterPassword: "mastersecret",
		RelayHost: "127.0.0.1", RelayPort: m.postfix.SMTP,
	})
	require.NoError(m.t, err)
}

// user adds somebody to the directory whose mail is at a back end, and returns
// his name. For the Dovecot his password is "pw", whatever it is here.
func (m *mixed) user(back int, password string) string {
	m.t.Helper()
	uid := fmt.Sprintf("user%d", m.users.Add(1)-1)
	require.NoError(m.t, m.administer(m.t.Context(), "ldapadd", fmt.Sprintf(`dn: uid=%[1]s,ou=people,dc=example,dc=test
objectClass: inetOrgPerson
objectClass: inetLocalMailRecipient
uid: %[1]s
cn: %[1]s
sn: %[1]s
mail: %[1]s@example.test
mailHost: %[2]s
userPassword: %[3]s
`, uid, m.back(back), password)))
	return uid + "@example.test"
}

// account is a new user as clients see him through a front end.
func (m *mixed) account(front, back int, tls clients.TLS) *clients.Account {
	m.t.Helper()
	service := func(plain, secure string) clients.Service {
		host := m.front(front)
		return clients.Service{Plain: net.JoinHostPort(host, plain), TLS: net.JoinHostPort(host, secure)}
	}
	password := "pw"
	if front == master {
		password = "not-for-back-ends"
	}
	return &clients.Account{
		User: m.user(back, password), Password: password, BehindPassword: "pw", TLS: tls, Authorities: filepath.Join(m.dir, fmt.Sprintf("frontend%d", front), "tls", "cert.pem"),
		IMAP: service("1143", "1993"), POP3: service("1110", "1995"), Submission: service("1587", "1465"), Sieve: service("1419", ""),
		Behind: func() (net.Conn, error) { return m.dialFrom(m.front(front), m.back(back)+":2143") },
	}
}

// dialFrom connects from an address of this machine.
func (m *mixed) dialFrom(from, to string) (net.Conn, error) {
	local := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	return local.DialContext(m.t.Context(), "tcp", to)
}

// frontConfig is the configuration of a front end.
func (m *mixed) frontConfig(n int) string {
	backend := map[int]string{
		overTLS: "ca_file = \"backends.pem\"\n",
		checks:  "tls = \"none\"\n",
		master:  "tls = \"none\"\nmaster_user = \"front\"\nmaster_password_file = \"master\"\n",
	}
	auth := ""
	if n != overTLS {
		auth = "auth = [\"ldap:main\"]\n"
	}
	text := fmt.Sprintf(mixedFront, n, m.front(n), m.ldap(), backend[n])
	for _, s := range []struct {
		protocol, plain, secure string
		back                    int
	}{
		{"imap", "1143", "1993", 2143}, {"pop3", "1110", "1995", 2110}, {"submission", "1587", "1465", 2587},
		{"managesieve", "1419", "", 2419}, {"smtp", "1025", "", 2524}, {"lmtp", "1024", "", 2524},
	} {
		text += fmt.Sprintf("[[service]]\nprotocol = %q\nmap = \"users\"\nlisten = [%q]\nbackend_port = %d\n", s.protocol, m.front(n)+":"+s.plain, s.back)
		if s.secure != "" {
			text += fmt.Sprintf("listen_tls = [%q]\n", m.front(n)+":"+s.secure)
		}
		if s.protocol == "smtp" && n == checks {
			text += "queue = \"main\"\n"
		}
		if s.protocol != "smtp" && s.protocol != "lmtp" {
			text += auth
		}
	}
	return text
}

// mixedFront is what all front ends have: a number, an address, the directory,
// and how back ends are reached.
const mixedFront = `hostname = "frontend%[1]d.example.test"
state = "frontend%[1]d"
control = "%[2]s:1081"
domains = ["example.test"]
drain = "2s"

[ldap.main]
uris = ["%[3]s"]
bind_dn = "cn=mail,ou=services,dc=example,dc=test"
bind_password = "mailpw"
base = "dc=example,dc=test"
filter = "(|(mail=%%e)(mailLocalAddress=%%e))"

[map.users]
sources = ["ldap:main"]
user_attribute = "mail"
loopback = true

[backend]
%[4]s
tell = ["id", "xclient"]
sources = ["%[2]s"]

`
