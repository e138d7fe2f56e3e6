package httpmap

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/mapping"
)

// hosts is a Resolver.
type hosts map[string][]netip.Addr

func (h hosts) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	all, ok := h[host]
	if !ok {
		return nil, errors.New("no such host")
	}
	return all, nil
}

// put puts a question, written as header fields, from an address.
func put(h http.Handler, from string, fields ...string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, "/auth", nil)
	r.RemoteAddr = from
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

const loopback = "127.0.0.1:1"

// says requires an answer's header fields.
func says(t *testing.T, r *http.Response, fields ...string) {
	t.Helper()
	require.Equal(t, http.StatusOK, r.StatusCode)
	want := map[string]string{"Auth-Status": "", "Auth-Server": "", "Auth-Port": "", "Auth-User": "", "Auth-Wait": "", "Auth-Error-Code": "", "Auth-Pass": ""}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		want[name] = value
	}
	for name, value := range want {
		require.Equal(t, value, r.Header.Get(name), name)
	}
}

func TestHandlerAnswersLogins(t *testing.T) {
	m := table(t, "alice 10.0.0.11:1143,user=al\nbob [2001:db8::7]\ncarol 10.0.0.13\n")
	h := handler(HandlerOptions{Mapper: m, Auth: house, Ports: map[string]int{"pop3": 1110}})
	login := func(protocol, user, pass string, more ...string) *http.Response {
		return put(h, loopback, append(more, "Auth-Method: plain", "Auth-Protocol: "+protocol, "Auth-User: "+user, "Auth-Pass: "+pass, "Auth-Login-Attempt: 1", "Client-IP: 192.0.2.42")...)
	}
	says(t, login("imap", "alice", "alice's%20%25%20secret"), "Auth-Status: OK", "Auth-Server: 10.0.0.11", "Auth-Port: 1143", "Auth-User: al")
	for protocol, port := range map[string]string{"imap": "143", "pop3": "1110", "smtp": "25"} {
		says(t, login(protocol, "bob", "bob's%20%25%20secret"), "Auth-Status: OK", "Auth-Server: 2001:db8::7", "Auth-Port: "+port)
	}
	for protocol, text := range map[string]string{"imap": "[AUTHENTICATIONFAILED] ", "pop3": "[AUTH] ", "smtp": ""} {
		for _, r := range []*http.Response{
			login(protocol, "alice", "wrong"), login(protocol, "mallory", "x"), login(protocol, "alice", ""), login(protocol, "carol", "carol's%20%25%20secret"),
		} {
			says(t, r, "Auth-Status: "+text+"Authentication failed", "Auth-Error-Code: 535 5.7.8", "Auth-Wait: 3")
		}
	}
	last := put(h, loopback, "Auth-Method: plain", "Auth-Protocol: imap", "Auth-User: alice", "Auth-Pass: x", "Auth-Login-Attempt: 10")
	says(t, last, "Auth-Status: [AUTHENTICATIONFAILED] Authentication failed", "Auth-Error-Code: 535 5.7.8")
	for _, method := range []string{"apop", "cram-md5", "external", "x"} {
		r := put(h, loopback, "Auth-Method: "+method, "Auth-Protocol: imap", "Auth-User: alice")
		says(t, r, "Auth-Status: This way to log in is not supported", "Auth-Error-Code: 504 5.5.4", "Auth-Wait: 1")
	}
}

func TestHandlerTellsTheAuthenticatorOfTheConnection(t *testing.T) {
	var got auth.Credentials
	h := handler(HandlerOptions{Mapper: mapping.Static(mapping.Route{Host: "10.0.0.1"}), Auth: auth.AuthenticatorFunc(func(_ context.Context, c auth.Credentials) (auth.Identity, error) {
		got = c
		return auth.Identity{User: "alice@example.test"}, nil
	})})
	put(h, loopback, "Auth-Method: plain", "Auth-Protocol: smtp", "Auth-User: alice", "Auth-Pass: x%0Ay", "Client-IP: 192.0.2.42", "Auth-SSL: on")
	require.Equal(t, auth.Credentials{
		Service: "submission", Remote: netip.MustParseAddr("192.0.2.42"), Secure: true, Mechanism: "PLAIN", User: "alice", Password: "x\ny",
	}, got)
}

func TestHandlerMapsByTheNameOfTheAccount(t *testing.T) {
	al := auth.AuthenticatorFunc(func(context.Context, auth.Credentials) (auth.Identity, error) {
		return auth.Identity{User: "alice@example.test"}, nil
	})
	h := handler(HandlerOptions{Mapper: table(t, "alice@example.test 10.0.0.11:143\n"), Auth: al})
	says(t, put(h, loopback, "Auth-Method: plain", "Auth-Protocol: imap", "Auth-User: al", "Auth-Pass: x"), "Auth-Status: OK", "Auth-Server: 10.0.0.11", "Auth-Port: 143")
}

func TestHandlerMapsRecipients(t *testing.T) {
	h := handler(HandlerOptions{Mapper: table(t, "alice@example.test 10.0.0.11\npostmaster 10.0.0.12:2525\n\"a>b\"@example.test 10.0.0.13\n"), Auth: house})
	for to, server := range map[string]string{
		"RCPT TO:<alice@example.test>": "10.0.0.11", "rcpt to: <Alice@Example.Test> NOTIFY=NEVER": "10.0.0.11", "RCPT TO:<@a.test,@b.test:alice@example.test>": "10.0.0.11",
		"RCPT TO:<alice+tag@example.test>": "10.0.0.11", "RCPT TO:<Postmaster>": "10.0.0.12", `RCPT TO:<"a>b"@example.test>`: "10.0.0.13", `RCPT TO:<"a\>b"@example.test>`: "10.0.0.13",
	} {
		port := "25"
		if server == "10.0.0.12" {
			port = "2525"
		}
		r := put(h, loopback, "Auth-Method: none", "Auth-Protocol: smtp", "Auth-User: ", "Auth-Pass: ", "Auth-SMTP-To: "+to)
		says(t, r, "Auth-Status: OK", "Auth-Server: "+server, "Auth-Port: "+port)
	}
	for _, to := range []string{"RCPT TO:<mallory@example.test>", "RCPT TO:<>", "RCPT TO:alice@example.test", "RCPT TO:<alice@example.test", "x", "RCPT TO:<a b>", `RCPT TO:<"alice@example.test>`, "RCPT TO:<@a>"} {
		r := put(h, loopback, "Auth-Method: none", "Auth-Protocol: smtp", "Auth-User: ", "Auth-Pass: ", "Auth-SMTP-To: "+to)
		says(t, r, "Auth-Status: No such user here", "Auth-Error-Code: 550 5.1.1", "Auth-Wait: 1")
	}
	down := handler(HandlerOptions{Mapper: down})
	r := put(down, loopback, "Auth-Method: none", "Auth-Protocol: smtp", "Auth-SMTP-To: RCPT TO:<alice@example.test>")
	says(t, r, "Auth-Status: Temporary failure, please try again later", "Auth-Error-Code: 451 4.3.0", "Auth-Wait: 1")
}

func TestA05HandlerAnswersAnOutageWithLater(t *testing.T) {
	some := mapping.Static(mapping.Route{Host: "10.0.0.1"})
	both := auth.AuthenticatorFunc(func(context.Context, auth.Credentials) (auth.Identity, error) {
		return auth.Identity{}, errors.Join(auth.ErrBadCredentials, auth.ErrUnavailable)
	})
	for _, o := range []HandlerOptions{{Mapper: down}, {Mapper: down, Auth: house}, {Mapper: some, Auth: noLogins}, {Mapper: some, Auth: both}} {
		for protocol, text := range map[string]string{"imap": "[UNAVAILABLE] ", "pop3": "[SYS/TEMP] ", "smtp": ""} {
			r := put(handler(o), loopback, "Auth-Method: plain", "Auth-Protocol: "+protocol, "Auth-User: alice", "Auth-Pass: alice's%20%25%20secret")
			says(t, r, "Auth-Status: "+text+"Temporary failure, please try again later", "Auth-Error-Code: 454 4.7.0", "Auth-Wait: 1")
		}
	}
}

func TestX10HandlerDoesNotLeadWhereNginxCannotGo(t *testing.T) {
	known := hosts{"a": {netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("10.0.0.1")}, "b": {netip.MustParseAddr("2001:db8::2")}, "none": {}}
	for host, server := range map[string]string{"a": "10.0.0.1", "b": "2001:db8::2"} {
		h := handler(HandlerOptions{Mapper: mapping.Static(mapping.Route{Host: host, Port: 1143, TLS: mapping.TLSNone}), Resolver: known})
		says(t, put(h, loopback, "Auth-Method: none", "Auth-Protocol: imap", "Auth-User: alice"), "Auth-Status: OK", "Auth-Server: "+server, "Auth-Port: 1143")
	}
	for _, route := range []mapping.Route{
		{Host: "unknown"}, {Host: "none"}, {}, {Host: "a", Port: 99999}, {Host: "a", TLS: mapping.TLSStart}, {Host: "a", TLS: mapping.TLSImplicit}, {Host: "fe80::1%eth0"}, {Host: "a", User: "x\r\nAuth-Pass: y"},
	} {
		var log bytes.Buffer
		h := handler(HandlerOptions{Resolver: known, Logger: slog.New(slog.NewTextHandler(&log, nil)), Mapper: mapping.MapperFunc(func(context.Context, string) (mapping.Route, error) {
			return route, nil
		})})
		for range 5 {
			r := put(h, loopback, "Auth-Method: plain", "Auth-Protocol: imap", "Auth-User: alice", "Auth-Pass: x")
			says(t, r, "Auth-Status: [UNAVAILABLE] Temporary failure, please try again later", "Auth-Error-Code: 454 4.7.0", "Auth-Wait: 1")
		}
		require.Equal(t, 1, strings.Count(log.String(), "\n"), "%v: %s", route, log.String())
	}
}

func TestNobodyMayAskWhoIsNotKnown(t *testing.T) {
	m := mapping.Static(mapping.Route{Host: "10.0.0.1"})
	question := []string{"Auth-Method: none", "Auth-Protocol: imap", "Auth-User: alice"}
	for _, c := range []struct {
		o    HandlerOptions
		from string
		more []string
		may  bool
	}{
		{HandlerOptions{}, loopback, nil, false},
		{HandlerOptions{Key: "k"}, "192.0.2.1:1", []string{"X-Auth-Key: k"}, true},
		{HandlerOptions{Key: "k"}, loopback, []string{"X-Auth-Key: x"}, false},
		{HandlerOptions{Key: "k"}, loopback, []string{"X-Auth-Key: k", "X-Auth-Key: k"}, false},
		{HandlerOptions{Key: "k"}, loopback, nil, false},
		{HandlerOptions{Trusted: netip.Addr.IsLoopback}, loopback, nil, true},
		{HandlerOptions{Trusted: netip.Addr.IsLoopback}, "[::ffff:127.0.0.1]:1", nil, true},
		{HandlerOptions{Trusted: netip.Addr.IsLoopback}, "192.0.2.1:1", []string{"X-Auth-Key: k", "X-Forwarded-For: 127.0.0.1"}, false},
		{HandlerOptions{Trusted: netip.Addr.IsLoopback}, "@", nil, false},
		{HandlerOptions{Trusted: netip.Addr.IsLoopback, Key: "k"}, loopback, nil, false},
		{HandlerOptions{Trusted: netip.Addr.IsLoopback, Key: "k"}, "192.0.2.1:1", []string{"X-Auth-Key: k"}, false},
		{HandlerOptions{Trusted: netip.Addr.IsLoopback, Key: "k"}, loopback, []string{"X-Auth-Key: k"}, true},
	} {
		c.o.Mapper, c.o.Logger = m, quiet
		r := put(NewHandler(c.o), c.from, append(c.more, question...)...)
		if c.may {
			says(t, r, "Auth-Status: OK", "Auth-Server: 10.0.0.1", "Auth-Port: 143")
			continue
		}
		require.Equal(t, http.StatusForbidden, r.StatusCode)
		require.Empty(t, r.Header.Get("Auth-Status")+r.Header.Get("Auth-Server"))
	}
}

func TestMalformedQuestionsGetNoAnswer(t *testing.T) {
	h := handler(HandlerOptions{Mapper: mapping.Static(mapping.Route{Host: "10.0.0.1"})})
	for _, fields := range [][]string{
		nil, {"Auth-Method: none"}, {"Auth-Protocol: imap"}, {"Auth-Method: none", "Auth-Protocol: http"}, {"Auth-Method: none", "Auth-Protocol: imap", "Auth-User: %zz"},
		{"Auth-Method: none", "Auth-Protocol: imap", "Auth-User: a", "Auth-User: b"}, {"Auth-Method: plain", "Auth-Protocol: imap", "Auth-User: a", "Auth-Pass: %"},
	} {
		r := put(h, loopback, fields...)
		require.Equal(t, http.StatusBadRequest, r.StatusCode, "%v", fields)
		require.Empty(t, r.Header.Get("Auth-Status"))
	}
}

func TestPasswordsAreInNoLog(t *testing.T) {
	var log bytes.Buffer
	h := handler(HandlerOptions{Mapper: mapping.Static(mapping.Route{Host: "10.0.0.1"}), Auth: house, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	put(h, loopback, "Auth-Method: plain", "Auth-Protocol: imap", "Auth-User: alice", "Auth-Pass: hunter2", "Client-IP: 192.0.2.42")
	put(h, loopback, "Auth-Method: plain", "Auth-Protocol: imap", "Auth-User: alice", "Auth-Pass: hunter2%zz")
	require.Contains(t, log.String(), `msg="authentication failed" service=imap remote=192.0.2.42 user=alice`)
	require.NotContains(t, log.String(), "hunter2")
}

func FuzzQuestion(f *testing.F) {
	f.Add("plain", "imap", "alice", "a%20b", "")
	f.Add("none", "smtp", "", "", "RCPT TO:<alice@example.test>")
	f.Add("none", "smtp", "", "", `RCPT TO:<@a,@b:"a>b\""@example.test> X`)
	h := handler(HandlerOptions{Mapper: mapping.MapperFunc(func(_ context.Context, user string) (mapping.Route, error) {
		return mapping.Route{Host: "10.0.0.1", User: user}, nil
	})})
	f.Fuzz(func(t *testing.T, method, protocol, user, pass, to string) {
		r := put(h, loopback, "Auth-Method: "+method, "Auth-Protocol: "+protocol, "Auth-User: "+user, "Auth-Pass: "+pass, "Auth-SMTP-To: "+to)
		for name, values := range r.Header {
			require.Len(t, values, 1)
			require.False(t, strings.ContainsAny(values[0], "\r\n\x00"), "%s: %q", name, values)
		}
		require.Equal(t, r.StatusCode == http.StatusOK, r.Header.Get("Auth-Status") != "")
	})
}
