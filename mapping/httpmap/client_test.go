package httpmap

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/authtest"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/mapping/mappingtest"
)

func TestClientKeepsThePromisesOfAMapper(t *testing.T) {
	users := table(t, "alice@example.test 10.0.0.11:1143,user=al\nbob 10.0.0.12:143\n*@example.net [2001:db8::7]:993\n/ü/ 10.0.0.13:143\n")
	for name, broken := range map[string]string{
		"nobody listens": nowhere(t), "its source is down": serve(t, handler(HandlerOptions{Mapper: down})), "it is no such server": serve(t, http.NotFoundHandler()),
		"it may not be asked": serve(t, NewHandler(HandlerOptions{Mapper: users, Logger: quiet})),
	} {
		t.Run(name, func(t *testing.T) {
			mappingtest.Run(t, mappingtest.Fixture{
				Mapper: client(t, serve(t, handler(HandlerOptions{Mapper: users})), Options{}),
				Known: map[string]mapping.Route{
					"alice@example.test": {Host: "10.0.0.11", Port: 1143, User: "al"}, "bob": {Host: "10.0.0.12", Port: 143},
					"any@example.net": {Host: "2001:db8::7", Port: 993}, "jürgen@example.test": {Host: "10.0.0.13", Port: 143},
				},
				Unknown: "mallory@example.test",
				Broken:  client(t, broken, Options{}),
			})
		})
	}
}

func TestClientKeepsThePromisesOfAnAuthenticator(t *testing.T) {
	m := mapping.Static(mapping.Route{Host: "10.0.0.11"})
	for name, broken := range map[string]string{
		"nobody listens": nowhere(t), "its source is down": serve(t, handler(HandlerOptions{Mapper: m, Auth: noLogins})),
		"it is no such server": serve(t, http.NotFoundHandler()), "it fails": serve(t, answers(500, "Auth-Status: Invalid login or password")),
	} {
		t.Run(name, func(t *testing.T) {
			authtest.Run(t, authtest.Fixture{
				Auth: client(t, serve(t, handler(HandlerOptions{Mapper: m, Auth: house})), Options{}),
				User: "alice", Password: "alice's % secret", Identity: "alice", Other: "bob", Unknown: "mallory",
				Disabled: "carol", DisabledPassword: "carol's % secret", Broken: client(t, broken, Options{}),
			})
		})
	}
}

// asked returns the header fields of the question that do puts.
func asked(t *testing.T, o Options, do func(*Client)) http.Header {
	var got http.Header
	c := client(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		w.Header().Set("Auth-Status", "no")
	})), o)
	do(c)
	return got
}

func TestQuestionsAreThoseOfNginx(t *testing.T) {
	h := asked(t, Options{Key: "k"}, func(c *Client) {
		_, err := c.Authenticate(t.Context(), auth.Credentials{
			Service: "submission", Remote: netip.MustParseAddr("192.0.2.42"), Secure: true, User: "Alice@Example.Test", Password: "a b%c\r\nAuth-Status: OK\x7fü",
		})
		require.ErrorIs(t, err, auth.ErrBadCredentials)
	})
	for name, want := range map[string]string{
		"Auth-Method": "plain", "Auth-User": "alice@example.test", "Auth-Pass": "a%20b%25c%0D%0AAuth-Status:%20OK%7Fü", "Auth-Protocol": "smtp",
		"Auth-Login-Attempt": "1", "Client-IP": "192.0.2.42", "Auth-SSL": "on", "X-Auth-Key": "k", "Auth-SMTP-To": "",
	} {
		require.Equal(t, want, h.Get(name), name)
	}
	h = asked(t, Options{Protocol: "smtp"}, func(c *Client) {
		_, err := c.Map(t.Context(), `"al ice"@example.test`)
		require.ErrorIs(t, err, mapping.ErrNotMapped)
	})
	for name, want := range map[string]string{
		"Auth-Method": "none", "Auth-User": "al%20ice@example.test", "Auth-Pass": "", "Auth-Protocol": "smtp", "Auth-SMTP-To": `RCPT TO:<"al ice"@example.test>`, "X-Auth-Key": "",
	} {
		require.Equal(t, want, h.Get(name), name)
	}
}

func TestA02QuestionsThatProveNothingAreNotAsked(t *testing.T) {
	require.Nil(t, asked(t, Options{}, func(c *Client) {
		for _, creds := range []auth.Credentials{
			{User: "alice"}, {User: "alice", Password: "a\x00b"}, {User: "alice", Password: strings.Repeat("x", 1025)}, {Password: "x"}, {User: "a\x00", Password: "x"},
			{User: "\xff", Password: "x"}, {User: strings.Repeat("x", 1<<20), Password: "x"}, {User: "alice", Proof: auth.Token("x")},
			{User: "alice", Password: "x", AuthzID: "bob"}, {User: "alice", Password: "x", AuthzID: strings.Repeat("x", 1<<20)},
		} {
			_, err := c.Authenticate(t.Context(), creds)
			require.ErrorIs(t, err, auth.ErrBadCredentials)
		}
	}))
}

func TestAnswersSayYesNoOrLater(t *testing.T) {
	const server, port = "Auth-Server: 10.0.0.1", "Auth-Port: 143"
	for _, a := range []struct {
		code   int
		fields []string
		kind   error // nil: yes
	}{
		{200, []string{"Auth-Status: OK", server, port}, nil},
		{204, []string{"Auth-Status: OK", server, port}, nil},
		{200, []string{"Auth-Status: Invalid login or password"}, mapping.ErrNotMapped},
		{200, []string{"Auth-Status: Invalid login or password", "Auth-Wait: 3", "Auth-Error-Code: 535 5.7.8"}, mapping.ErrNotMapped},
		{200, []string{"Auth-Status: [AUTHENTICATIONFAILED] no"}, mapping.ErrNotMapped},
		{200, []string{"Auth-Status: ok", server, port}, mapping.ErrNotMapped},
		{403, []string{"Auth-Status: no"}, mapping.ErrNotMapped},
		{200, []string{"Auth-Status: Temporary server problem", "Auth-Error-Code: 451 4.3.0"}, mapping.ErrUnavailable},
		{200, []string{"Auth-Status: [UNAVAILABLE] later"}, mapping.ErrUnavailable},
		{200, []string{"Auth-Status: [sys/temp] later"}, mapping.ErrUnavailable},
		{200, []string{"Auth-Status: WAIT", "Auth-Wait: 3"}, mapping.ErrUnavailable},
		{200, []string{server, port}, mapping.ErrUnavailable},
		{200, []string{"Auth-Status: OK", "Auth-Status: no", server, port}, mapping.ErrUnavailable},
		{302, []string{"Location: http://192.0.2.1/"}, mapping.ErrUnavailable},
		{404, nil, mapping.ErrUnavailable},
		{500, []string{"Auth-Status: no"}, mapping.ErrUnavailable},
		{503, []string{"Auth-Status: OK", server, port}, mapping.ErrUnavailable},
		{200, []string{"Auth-Status: OK", server, port, "Auth-User: " + strings.Repeat("x", 600)}, mapping.ErrBadRoute},
		{200, []string{"Auth-Status: OK", server, port, "X: " + strings.Repeat("x", maxHeader)}, mapping.ErrUnavailable},
	} {
		c := client(t, serve(t, answers(a.code, a.fields...)), Options{})
		r, err := c.Map(t.Context(), "alice")
		_, authErr := c.Authenticate(t.Context(), auth.Credentials{User: "alice", Password: "secret"})
		switch a.kind {
		case nil:
			require.NoError(t, err)
			require.Equal(t, mapping.Route{Host: "10.0.0.1", Port: 143}, r)
			require.NoError(t, authErr)
			continue
		case mapping.ErrNotMapped:
			require.ErrorIs(t, authErr, auth.ErrBadCredentials, "%v", a.fields)
			require.NotErrorIs(t, err, mapping.ErrUnavailable)
		case mapping.ErrUnavailable:
			require.ErrorIs(t, authErr, auth.ErrUnavailable, "%v", a.fields)
			require.NotErrorIs(t, authErr, auth.ErrBadCredentials)
			require.NotErrorIs(t, err, mapping.ErrNotMapped)
		}
		require.Zero(t, r)
		require.ErrorIs(t, err, a.kind, "%v", a.fields)
	}
}

func TestX10RoutesOfAServerAreChecked(t *testing.T) {
	for _, fields := range [][]string{
		nil, {"Auth-Server: "}, {"Auth-Server: a b"}, {"Auth-Server: a,b"}, {"Auth-Server: a", "Auth-Port: 99999"}, {"Auth-Server: a", "Auth-Port: 0"}, {"Auth-Server: a", "Auth-Port: x"},
		{"Auth-Server: 10.0.0.300"}, {"Auth-Server: a:143"}, {"Auth-Server: a", "Auth-Server: b"},
	} {
		c := client(t, serve(t, answers(200, append(fields, "Auth-Status: OK")...)), Options{})
		_, err := c.Map(t.Context(), "alice")
		require.ErrorIs(t, err, mapping.ErrUnavailable, "%v", fields)
		require.NotErrorIs(t, err, mapping.ErrNotMapped)
	}
}

func TestTheAnswerMayNameTheUser(t *testing.T) {
	c := client(t, serve(t, answers(200, "Auth-Status: OK", "Auth-Server: a", "Auth-User: Alice@Example.Test")), Options{})
	id, err := c.Authenticate(t.Context(), auth.Credentials{User: "al+tag", Password: "secret"})
	require.NoError(t, err)
	require.Equal(t, "alice@example.test", id.User)
}

func TestA05AStalledServerIsAnOutageAfterTheTimeout(t *testing.T) {
	stall := make(chan struct{})
	url := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stall }))
	defer close(stall)
	c := client(t, url, Options{Timeout: 50 * time.Millisecond})
	_, err := c.Map(t.Context(), "alice")
	require.ErrorIs(t, err, mapping.ErrUnavailable)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Map(ctx, "alice")
	require.ErrorIs(t, err, mapping.ErrUnavailable)
	require.ErrorIs(t, err, context.Canceled)
}

func TestErrorsHoldNoPasswords(t *testing.T) {
	_, err := New("ftp://user:hunter2@example.test/", Options{})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hunter2")
	for _, url := range []string{"", "localhost:1", "http://", "http://[::1", "/auth"} {
		_, err := New(url, Options{})
		require.Error(t, err, url)
	}
	c := client(t, strings.Replace(nowhere(t), "//", "//user:hunter2@", 1), Options{Key: "hunter2"})
	_, err = c.Authenticate(t.Context(), auth.Credentials{User: "alice", Password: "hunter2"})
	require.ErrorIs(t, err, auth.ErrUnavailable)
	require.NotContains(t, err.Error(), "hunter2")
}

func FuzzAnswer(f *testing.F) {
	f.Add("OK", "", "10.0.0.1", "143", "")
	f.Add("[UNAVAILABLE] x", "451 4.3.0", "", "", "alice")
	f.Fuzz(func(t *testing.T, status, code, server, port, user string) {
		a, err := readAnswer(&http.Response{StatusCode: 200, Header: http.Header{
			"Auth-Status": {status}, "Auth-Error-Code": {code}, "Auth-Server": {server}, "Auth-Port": {port}, "Auth-User": {user},
		}})
		if err != nil {
			return
		}
		require.Equal(t, status == "OK", a.yes)
		require.LessOrEqual(t, len(a.status), 4*maxStatus)
		if r, err := a.route("alice"); err == nil {
			require.NoError(t, r.Check())
		}
	})
}
