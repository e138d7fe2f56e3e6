package imap

import (
	"context"
	"encoding/base64"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/authtest"
	"github.com/posthouse-mail/posthouse/internal/dialogue"
	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

// master has a back end that is logged in to by a master user.
func master(b *fakeBackend) *proxy.Front {
	return withBackend(frontTo(b.route), proxy.Backend{MasterUser: "front", MasterPassword: "key"})
}

func TestP14MechanismsAreThoseThatCanBeShownToTheBackEnd(t *testing.T) {
	b := startBackend(t, ordinary("IMAP4rev1 AUTH=PLAIN", nil))
	scram := auth.Policy{Plain: []string{"SCRAM-SHA-256", "PLAIN", "OAUTHBEARER"}}
	account := authtest.Account{User: "alice", Password: "secret"}
	for want, change := range map[string]func(*Proxy){
		"AUTH=PLAIN AUTH=LOGIN]":                  func(*Proxy) {},
		"AUTH=OAUTHBEARER AUTH=PLAIN]":            func(p *Proxy) { p.SASL = scram },
		"STARTTLS AUTH=PLAIN AUTH=LOGIN]":         func(p *Proxy) { p.Auth = account },
		"STARTTLS AUTH=SCRAM-SHA-256 AUTH=PLAIN]": func(p *Proxy) { p.Auth, p.SASL = account, scram },
	} {
		dialogue.Play(t, dialTest(t, newProxy(t, frontTo(b.route), change)), want, `S~ \* OK \[CAPABILITY .* `+want[:len(want)-1]+`\] .*`)
	}
}

func TestP14SCRAMIsForBackEndsWithAMasterUser(t *testing.T) {
	b := startBackend(t, atLogin(func(p *peerOfProxy) { p.say("p1 OK [CAPABILITY IMAP4rev1] welcome"); p.hear() }))
	for _, how := range []struct {
		front *proxy.Front
		want  string
	}{
		{master(b), `a OK \[CAPABILITY IMAP4rev1\] welcome`},
		{frontTo(b.route), `a NO \[UNAVAILABLE\] .*`},
	} {
		addr := newProxy(t, how.front, func(p *Proxy) {
			p.Auth, p.SASL.Plain = authtest.Account{User: "alice", Password: "secret"}, []string{"SCRAM-SHA-256"}
		})
		text := "S~ .*\nC= a AUTHENTICATE SCRAM-SHA-256\nS~ \\+ .*\nC=\nS~ \\+ .*\nC: \nS~ " + how.want
		path := t.TempDir() + "/scram.txt"
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		dialogue.RunWith(t, dialTest(t, addr), path, authtest.Answers("SCRAM-SHA-256", "alice", "secret"))
	}
	require.Contains(t, b.lines(), "p1 AUTHENTICATE PLAIN "+plainResponse("alice", "front", "key"))
}

// bearerBackend takes tokens by both mechanisms; "good" is good.
func bearerBackend(p *peerOfProxy) {
	p.say("* OK [CAPABILITY IMAP4rev1 AUTH=OAUTHBEARER AUTH=XOAUTH2 SASL-IR] ready")
	response := p.hear()
	octets, _ := base64.StdEncoding.DecodeString(response[strings.LastIndexByte(response, ' ')+1:])
	if !strings.Contains(string(octets), "Bearer good\x01") {
		p.say("+ eyJzdGF0dXMiOiI0MDEifQ==")
		p.hear()
		p.say("p1 NO [AUTHENTICATIONFAILED] token is bad")
		return
	}
	p.say("p1 OK [CAPABILITY IMAP4rev1] welcome")
	p.hear()
}

func TestP14TokensAreShownByTheMechanismThatBroughtThem(t *testing.T) {
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	oauth := func(token string) string { return encode("n,a=al=3Dice,\x01auth=Bearer " + token + "\x01\x01") }
	nobody := encode("n,,\x01auth=Bearer good\x01\x01")
	xoauth := func(token string) string { return encode("user=alice\x01auth=Bearer " + token + "\x01\x01") }
	b := startBackend(t, bearerBackend)
	c := dial(t, newProxy(t, frontTo(b.route), func(p *Proxy) { p.SASL.Plain = []string{"OAUTHBEARER", "XOAUTH2"} }))
	for _, bad := range []string{"AUTHENTICATE OAUTHBEARER " + oauth("bad"), "AUTHENTICATE XOAUTH2 " + xoauth("bad"), "AUTHENTICATE OAUTHBEARER " + nobody} {
		c.send("a " + bad + "\r\n")
		require.Regexp(t, `^\+ \w+`, c.line())
		c.send("AQ==\r\n")
		require.Equal(t, "a NO [AUTHENTICATIONFAILED] Authentication failed", c.line())
	}
	require.Equal(t, 2, b.connections(), "nobody is nowhere")
	require.Equal(t, []string{"p1 AUTHENTICATE OAUTHBEARER " + oauth("bad"), "AQ==", "p1 AUTHENTICATE XOAUTH2 " + xoauth("bad"), ""}, b.lines())
}

func TestP14AGoodTokenLogsIn(t *testing.T) {
	b := startBackend(t, bearerBackend)
	c := dial(t, newProxy(t, frontTo(b.route), func(p *Proxy) { p.SASL.Plain = []string{"OAUTHBEARER", "XOAUTH2"} }))
	c.ok("AUTHENTICATE XOAUTH2 dXNlcj1hbGljZQFhdXRoPUJlYXJlciBnb29kAQE=")
	plainOnly := startBackend(t, ordinary("IMAP4rev1 AUTH=PLAIN", nil))
	c = dial(t, newProxy(t, frontTo(plainOnly.route), func(p *Proxy) { p.SASL.Plain = []string{"XOAUTH2"} }))
	c.fails("AUTHENTICATE XOAUTH2 dXNlcj1hbGljZQFhdXRoPUJlYXJlciBnb29kAQE=", "NO [UNAVAILABLE]")
}

// asAdmin lets root act for everybody.
type asAdmin struct{ auth.Authenticator }

func (asAdmin) ActFor(_ context.Context, id auth.Identity, user string) (auth.Identity, error) {
	if id.User != "root" {
		return auth.Identity{}, auth.ErrBadCredentials
	}
	return auth.Identity{User: user}, nil
}

func TestP8WhoActsForSomebodyIsLedToWhereHisMailIs(t *testing.T) {
	b := startBackend(t, ordinary("IMAP4rev1 AUTH=PLAIN SASL-IR", map[string]string{"root": "NO x"}))
	mapped := make(chan string, 1)
	f := frontTo(b.route)
	f.Mapper = mapping.MapperFunc(func(_ context.Context, user string) (mapping.Route, error) {
		mapped <- user
		return b.route, nil
	})
	c := dial(t, newProxy(t, f, func(p *Proxy) {
		p.Auth = asAdmin{authtest.Account{User: "root", Password: "admin"}}
	}))
	c.fails("AUTHENTICATE PLAIN "+plainResponse("alice", "root", "admin"), "NO")
	require.Equal(t, "alice", <-mapped)
	require.Contains(t, b.lines(), "p1 AUTHENTICATE PLAIN "+plainResponse("alice", "root", "admin"))
}

func TestP16WithAnAuthenticatorAWrongPasswordOpensNoConnection(t *testing.T) {
	b := startBackend(t, ordinary("IMAP4rev1 AUTH=PLAIN SASL-IR", nil))
	c := dial(t, newProxy(t, frontTo(b.route), func(p *Proxy) { p.Auth = authtest.Account{User: "alice", Password: "secret"} }))
	c.fails("LOGIN alice wrong", "NO [AUTHENTICATIONFAILED] Authentication failed")
	c.fails("AUTHENTICATE PLAIN "+plainResponse("", "alice", "wrong"), "NO [AUTHENTICATIONFAILED] Authentication failed")
	require.Zero(t, b.connections())
	c.ok("LOGIN alice secret")
	require.Equal(t, 1, b.connections())
}

func TestAThrottleRefusesBeforeABackEndIsAsked(t *testing.T) {
	b := startBackend(t, ordinary("IMAP4rev1 AUTH=PLAIN SASL-IR", nil))
	c := dial(t, newProxy(t, frontTo(b.route), func(p *Proxy) {
		p.Throttle = auth.NewThrottle(nil, auth.ThrottleOptions{UserFailures: 1, Patience: 1, Delay: 1 << 40})
	}))
	c.fails("LOGIN alice wrong", "NO [AUTHENTICATIONFAILED]")
	c.fails("LOGIN alice secret", "NO [LIMIT]")
	require.Equal(t, 1, b.connections())
}

// TestMasterCredentialsAreForUsersWhoWereChecked: without Auth anybody could be
// anybody, and with it a refused master user is no wrong password.
func TestMasterCredentialsAreForUsersWhoWereChecked(t *testing.T) {
	b := startBackend(t, ordinary("IMAP4rev1 AUTH=PLAIN SASL-IR", map[string]string{"front": "NO [AUTHENTICATIONFAILED] who?"}))
	dial(t, newProxy(t, master(b), nil)).fails("LOGIN alice secret", unavailable)
	require.Empty(t, strings.Join(b.lines(), ""))
	log := &lockedBuffer{}
	c := dial(t, newProxy(t, master(b), func(p *Proxy) {
		p.Auth = authtest.Account{User: "alice", Password: "secret"}
		p.Logger = slog.New(slog.NewTextHandler(log, nil))
	}))
	c.fails("LOGIN alice secret", unavailable)
	require.Contains(t, log.String(), "who?")
	require.NotContains(t, log.String(), "key")
}

func TestALoginIsSaidAsTheBackEndCanHearIt(t *testing.T) {
	for name, how := range map[string]struct{ caps, user, password, want string }{
		"quoted":            {"IMAP4rev1", "alice", `s"e\c`, `p1 LOGIN "alice" "s\"e\\c"`},
		"literal":           {"IMAP4rev1", "alice", "pä", "p1 LOGIN \"alice\" {3}|pä"},
		"literals":          {"IMAP4rev1", "älice", "p\r\na", "p1 LOGIN {6}|älice {4}|p|a"},
		"literal unasked":   {"IMAP4rev1 LITERAL+", "alice", "pä", "p1 LOGIN \"alice\" {3+}|pä"},
		"PLAIN":             {"IMAP4rev1 auth=plain", "alice", "pä", "p1 AUTHENTICATE PLAIN|" + plainResponse("", "alice", "pä")},
		"PLAIN at once":     {"IMAP4rev1 AUTH=PLAIN SASL-IR LOGINDISABLED", "alice", "pä", "p1 AUTHENTICATE PLAIN " + plainResponse("", "alice", "pä")},
		"by another's name": {"IMAP4rev1", "carol", "x", `p1 LOGIN "carol.renamed" "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			b := startBackend(t, func(p *peerOfProxy) {
				p.say("* OK [CAPABILITY " + how.caps + "] ready")
				for line := p.hear(); line != ""; line = p.hear() {
					if strings.HasSuffix(line, "}") && !strings.HasSuffix(line, "+}") || strings.HasSuffix(line, "PLAIN") {
						p.say("+ go on")
					}
				}
			})
			route := b.route
			if how.user == "carol" {
				route.User = "carol.renamed"
			}
			c := dial(t, newProxy(t, frontTo(route), nil))
			c.send("a AUTHENTICATE PLAIN " + plainResponse("", how.user, how.password) + "\r\n")
			require.Eventually(t, func() bool { return strings.Join(b.lines(), "|") == how.want }, 20*time.Second, time.Millisecond, "%q", b.lines)
		})
	}
}

func TestP28ReferralsAreFollowedWhereTheFrontEndKnowsTheHost(t *testing.T) {
	home := startBackend(t, ordinary("IMAP4rev1 AUTH=PLAIN SASL-IR", nil))
	referring := func(to *fakeBackend, user string) *fakeBackend {
		url := "imap://" + user + strings.TrimSuffix(to.route.String(), ",tls=none") + "/"
		return startBackend(t, atLogin(func(p *peerOfProxy) { p.say("p1 NO [REFERRAL " + url + "] elsewhere"); p.hear() }))
	}
	first := referring(home, "alice;AUTH=*@")
	second := referring(first, "")
	third := referring(second, "")
	allow := func(f *proxy.Front) *proxy.Front {
		f.Referrals = func(from, to mapping.Route) bool { return to.Host == "127.0.0.1" }
		f.Backends = func(mapping.Route) proxy.Backend {
			return proxy.Backend{TLS: mapping.TLSNone, TLSConfig: testcert.Client()}
		}
		return f
	}
	dial(t, newProxy(t, allow(frontTo(first.route)), nil)).ok("LOGIN alice secret")
	dial(t, newProxy(t, allow(frontTo(second.route)), nil)).ok("LOGIN bob secret") // the second names alice
	dial(t, newProxy(t, allow(frontTo(third.route)), nil)).fails("LOGIN alice secret", unavailable)
	dial(t, newProxy(t, frontTo(first.route), nil)).fails("LOGIN alice secret", unavailable)
	for _, bad := range []string{"", "REFERRAL", "REFERRAL http://x/", "REFERRAL imap://", "REFERRAL imap://%zz@x/", "REFERRAL imap://x,tls=none/", "REFERRAL imap://x:y/", "REFERRAL imap://a%0ab@x/"} {
		_, ok := referralIn(bad)
		require.False(t, ok, bad)
	}
}
