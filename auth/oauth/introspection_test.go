package oauth

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/authtest"
)

// knows lets an issuer answer about the token "good-NAME" of each user.
func (s *issuer) knows(change ...map[string]any) {
	s.set(func() {
		s.answer = func(f form) any {
			name, ok := strings.CutPrefix(f.token, "good-")
			if !ok || f.user != "mail+server" || f.password != "s3cret%26more" || f.hint != "access_token" {
				return map[string]any{"active": false}
			}
			return s.claims(append([]map[string]any{{"active": true, "email": name + "@example.test"}}, change...)...)
		}
	})
}

func TestIntrospectionKeepsThePromisesOfAnAuthenticator(t *testing.T) {
	s, gone := newIssuer(t), newIssuer(t)
	gone.down.Store(true)
	s.knows()
	r := s.rules()
	r.Accounts = house()
	for _, remember := range []time.Duration{0, -1} {
		authtest.Run(t, authtest.Fixture{
			Auth: s.introspection(t, Introspection{Remember: remember}, r), User: "alice", Password: "good-alice", Identity: "alice@example.test",
			Other: "bob", Unknown: "mallory", Shown: asToken, Disabled: "carol", DisabledPassword: "good-carol",
			Broken: s.introspection(t, Introspection{URL: gone.URL + "/introspect"}, r),
		})
	}
}

func TestA11IntrospectionDownIsATemporaryFailure(t *testing.T) {
	s, other := newIssuer(t), newIssuer(t)
	other.knows()
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"active":false}`, code) }
	}
	text := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
	}
	for what, answer := range map[string]http.HandlerFunc{
		"status 500": status(500), "status 503": status(503), "status 429": status(429), "status 400": status(400), "status 404": status(404),
		"our credentials are refused": status(401), "forbidden": status(403), "no body": text(""), "no JSON": text("<html>"), "a list": text("[]"),
		"null": text("null"), "no verdict": text("{}"), "a text": text(`{"active":"true"}`), "a number": text(`{"active":1}`), "other letters": text(`{"Active":true}`),
		"cut off": text(`{"active":true,`), "endless": text(`{"active":true,"x":"` + strings.Repeat("x", 1<<20) + `"}`),
		"elsewhere": http.RedirectHandler(other.URL+"/introspect", http.StatusTemporaryRedirect).ServeHTTP,
		"moved":     http.RedirectHandler(s.URL+"/moved", http.StatusTemporaryRedirect).ServeHTTP,
		"hangs up":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		s.set(func() { s.handle["/introspect"] = answer })
		_, err := show(t, s.introspection(t, Introspection{}, s.rules()), "good-alice")
		require.ErrorIs(t, err, auth.ErrUnavailable, what)
		require.NotErrorIs(t, err, auth.ErrBadCredentials, what)
		require.NotContains(t, err.Error(), "s3cret")
	}
	require.Zero(t, other.asked.Load(), "a token goes to nobody else")
}

func TestA11AnIssuerThatStallsIsATemporaryFailureInTime(t *testing.T) {
	stop := make(chan struct{})
	stalled := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(stalled.Close)
	t.Cleanup(func() { close(stop) })
	s := newIssuer(t)
	_, err := show(t, s.introspection(t, Introspection{URL: stalled.URL, Timeout: 50 * time.Millisecond}, s.rules()), "good-alice")
	require.ErrorIs(t, err, auth.ErrUnavailable)
	_, err = show(t, s.jwt(t, JWT{KeysURL: stalled.URL, Timeout: 50 * time.Millisecond}, s.rules()), s.token())
	require.ErrorIs(t, err, auth.ErrUnavailable)
}

func TestAServerThatCannotProveItsNameIsNotAsked(t *testing.T) {
	asked := false
	s := newIssuer(t)
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked = true
		_ = json.NewEncoder(w).Encode(s.claims(map[string]any{"active": true}))
	}))
	other.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(other.Close)
	_, err := show(t, s.introspection(t, Introspection{URL: other.URL}, s.rules()), "good-alice")
	require.ErrorIs(t, err, auth.ErrUnavailable)
	require.False(t, asked)
	id, err := show(t, s.introspection(t, Introspection{URL: other.URL, Transport: other.Client().Transport}, s.rules()), "good-alice")
	require.NoError(t, err)
	require.Equal(t, "alice@example.test", id)
}

func TestATokenThatIsNotActiveOrNotForUsIsRefused(t *testing.T) {
	s := newIssuer(t)
	now := time.Now()
	for _, claims := range []map[string]any{
		{"active": false}, {"aud": "web"}, {"aud": nil}, {"scope": "openid"}, {"iss": "https://evil.example"}, {"exp": now.Add(-2 * time.Minute).Unix()},
		{"exp": "never"}, {"nbf": now.Add(2 * time.Minute).Unix()}, {"cnf": map[string]any{"x5t#S256": "x"}}, {"token_use": "refresh_token"},
		{"email_verified": false}, {"email": nil},
	} {
		s.knows(claims)
		_, err := show(t, s.introspection(t, Introspection{}, s.rules()), "good-alice")
		require.ErrorIs(t, err, auth.ErrBadCredentials, "%v", claims)
	}
	for _, claims := range []map[string]any{{"iss": nil}, {"exp": nil}, {"token_use": "access_token"}} {
		s.knows(claims)
		_, err := show(t, s.introspection(t, Introspection{}, s.rules()), "good-alice")
		require.NoError(t, err, "%v", claims)
	}
	s.knows(map[string]any{"username": "bob@example.test"})
	r := s.rules()
	r.Claim = "username"
	id, err := show(t, s.introspection(t, Introspection{}, r), "good-alice")
	require.NoError(t, err)
	require.Equal(t, "bob@example.test", id)
}

func TestAGoodAnswerIsRememberedAndABadOneIsNot(t *testing.T) {
	s := newIssuer(t)
	s.knows()
	a := s.introspection(t, Introspection{}, s.rules())
	for range 3 {
		_, err := show(t, a, "good-alice")
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, s.asked.Load())
	_, err := show(t, a, "good-alice", "bob@example.test")
	require.ErrorIs(t, err, auth.ErrBadCredentials, "it is still alice's alone")
	for range 3 {
		_, err := show(t, a, "bad")
		require.ErrorIs(t, err, auth.ErrBadCredentials)
	}
	require.EqualValues(t, 4, s.asked.Load())
	s.knows(map[string]any{"exp": time.Now().Add(-10 * time.Second).Unix()}) // good for the leeway's sake alone
	for range 2 {
		_, err = show(t, a, "good-bob")
		require.NoError(t, err)
	}
	require.EqualValues(t, 6, s.asked.Load())
}

func TestAnswersEndWithTheirTimeAndTheirNumberIsBounded(t *testing.T) {
	a := newAnswers(time.Minute, 100)
	now := time.Now()
	for i := range 1000 {
		a.put(a.digest(fmt.Sprint(i)), answer{name: fmt.Sprint(i)}, now)
	}
	require.Len(t, a.all, 100)
	d := a.digest("token")
	a.put(d, answer{"alice", now.Add(time.Hour)}, now)
	_, ok := a.get(d, now.Add(time.Minute))
	require.False(t, ok, "no longer than a minute")
	a.put(d, answer{"alice", now.Add(time.Second)}, now)
	name, ok := a.get(d, now)
	require.True(t, ok)
	require.Equal(t, "alice", name)
	_, ok = a.get(d, now.Add(time.Second))
	require.False(t, ok, "not after exp")
	require.NotContains(t, a.all, d)
	require.NotEqual(t, d, newAnswers(time.Minute, 1).digest("token"), "each has a key of its own")
}

func TestASecretCanBeSentInTheForm(t *testing.T) {
	s := newIssuer(t)
	s.set(func() {
		s.handle["/introspect"] = func(w http.ResponseWriter, r *http.Request) {
			_, _, basic := r.BasicAuth()
			ok := !basic && r.PostFormValue("client_id") == "mail server" && r.PostFormValue("client_secret") == "s3cret&more"
			_ = json.NewEncoder(w).Encode(s.claims(map[string]any{"active": ok}))
		}
	})
	_, err := show(t, s.introspection(t, Introspection{Method: SecretPost}, s.rules()), "good-alice")
	require.NoError(t, err)
}

func TestSecretsAreInNoLog(t *testing.T) {
	s := newIssuer(t)
	i := Introspection{URL: s.URL, ClientID: "mail", ClientSecret: "s3cret&more"}
	a := s.introspection(t, i, s.rules())
	var out strings.Builder
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "i", i, "a", a)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "i", i, "a", a)
	fmt.Fprintf(&out, "%v %+v %#v %v %+v %#v %+v", i, i, i, a, a, a, struct{ I Introspection }{i})
	text, err := json.Marshal(i)
	require.NoError(t, err)
	require.NotContains(t, out.String()+string(text), "s3cret")
}
