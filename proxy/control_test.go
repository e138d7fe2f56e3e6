package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/mapping"
)

// ask sends a request to a control interface on loopback, and returns the
// status and the answer.
func ask(t testing.TB, h http.Handler, method, path, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:8080"+path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:1000"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// must is ask where the answer must be good; it is decoded.
func must[T any](t testing.TB, h http.Handler, method, path, body string) (v T) {
	t.Helper()
	status, text := ask(t, h, method, path, body)
	require.Equal(t, http.StatusOK, status, text)
	require.NoError(t, json.Unmarshal([]byte(text), &v))
	return v
}

func TestMovingAUserLosesNoLoginAndIsNeverOnTwoBackEnds(t *testing.T) {
	c := newCluster(t)
	control := &Control{Front: c.Front}
	c.move("alice@example.test", c.a)
	c.move("bob@example.test", c.a)
	bob := c.mustLogin(t, "bob@example.test", c.a.Host)
	for range 3 {
		c.mustLogin(t, "alice@example.test", c.a.Host)
	}
	require.Len(t, must[[]shownSession](t, control, "GET", "/sessions?user=Alice@Example.Test", ""), 3)

	must[map[string]time.Time](t, control, "PUT", "/delays/alice@example.test", `{"for": "10m"}`)
	landed := make(chan string)
	for range 5 {
		go func() {
			l, at, err := c.login(context.Background(), "alice@example.test")
			if err != nil {
				at = err.Error()
			} else {
				l.Close()
			}
			landed <- at
		}()
	}
	require.Eventually(t, func() bool { return c.Sessions.waitingNow() == 5 }, time.Minute, time.Millisecond)
	require.Equal(t, map[string]int{"sessions": 3}, must[map[string]int](t, control, "POST", "/kick", `{"user": "alice@example.test"}`))
	require.Len(t, must[[]shownSession](t, control, "GET", "/sessions", ""), 1, "bob stays; alice's back end has ended her sessions")
	c.move("alice@example.test", c.b)
	must[struct{}](t, control, "DELETE", "/cache/alice@example.test", "")
	require.Len(t, must[map[string]time.Time](t, control, "GET", "/delays", ""), 1)
	must[map[string]time.Time](t, control, "DELETE", "/delays/alice@example.test", "")
	for range 5 {
		require.Equal(t, c.b.Host, <-landed)
	}
	bob.Close()
	c.empty(t)
	require.Empty(t, c.overlaps())
}

func TestP6InvalidatingOneOrAllTakesEffectOnTheNextLoginOnly(t *testing.T) {
	c := newCluster(t)
	control := &Control{Front: c.Front}
	list := func(query string) map[string]string {
		all := map[string]string{}
		for _, e := range must[[]shownEntry](t, control, "GET", "/cache"+query, "") {
			all[e.User] = e.Route
		}
		return all
	}
	for _, user := range []string{"alice", "bob"} {
		c.move(user, c.a)
		defer c.mustLogin(t, user, c.a.Host).Close()
		c.move(user, c.b)
	}
	require.Equal(t, map[string]string{"alice": c.a.String(), "bob": c.a.String()}, list(""))
	must[struct{}](t, control, "DELETE", "/cache/ALICE", "")
	require.Equal(t, map[string]string{"bob": c.a.String()}, list(""))
	require.Equal(t, 2, c.count(), "no session ends")
	defer c.mustLogin(t, "alice", c.b.Host).Close()
	defer c.mustLogin(t, "bob", c.a.Host).Close()
	must[struct{}](t, control, "DELETE", "/cache", "")
	require.Empty(t, list(""))
	defer c.mustLogin(t, "bob", c.b.Host).Close()
	c.move("bob", c.a)
	require.Equal(t, map[string]string{"user": "bob", "route": c.a.String()}, must[map[string]string](t, control, "POST", "/cache/bob", ""))
	require.Equal(t, map[string]string{"bob": c.a.String()}, list("?user=Bob"))
	status, _ := ask(t, control, "POST", "/cache/nobody", "")
	require.Equal(t, http.StatusNotFound, status)
}

func TestControlRefusesWhatItDoesNotUnderstand(t *testing.T) {
	control := &Control{Front: &Front{Mapper: mapping.MapperFunc(nobody), Sessions: &Sessions{}}}
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/kick", "", http.StatusBadRequest},
		{"POST", "/kick", `{"usr": "alice"}`, http.StatusBadRequest},
		{"POST", "/kick", `{"all": true, "user": "alice"}`, http.StatusBadRequest},
		{"POST", "/kick", `{"user": "alice", "over": "-1s"}`, http.StatusBadRequest},
		{"POST", "/kick", `{"user": "al\u0000ice"}`, http.StatusBadRequest},
		{"POST", "/kick", `{"protocol": "gopher"}`, http.StatusBadRequest},
		{"POST", "/kick", `{"user": "` + strings.Repeat("x", maxControlBody) + `"}`, http.StatusBadRequest},
		{"POST", "/kick", `{"user": "alice"}`, http.StatusOK},
		{"POST", "/kick", `{"all": true}`, http.StatusOK},
		{"GET", "/kick", "", http.StatusMethodNotAllowed},
		{"PUT", "/delays/alice", "", http.StatusBadRequest},
		{"PUT", "/delays/alice", `{"for": "1s", "until": "2030-01-01T00:00:00Z"}`, http.StatusBadRequest},
		{"PUT", "/delays/alice", `{"until": "2030-01-01T00:00:00Z"}`, http.StatusOK},
		{"PUT", "/delays/al%00ice", `{"for": "1s"}`, http.StatusBadRequest},
		{"GET", "/cache", "", http.StatusNotFound},
		{"POST", "/drain", "", http.StatusNotFound},
		{"GET", "/", "", http.StatusNotFound},
	} {
		status, text := ask(t, control, c.method, c.path, c.body)
		require.Equal(t, c.status, status, "%s %s %.50s: %s", c.method, c.path, c.body, text)
	}
}

func nobody(context.Context, string) (mapping.Route, error) {
	return mapping.Route{}, mapping.ErrNotMapped
}

func TestControlAnswersThisMachineOnly(t *testing.T) {
	control := &Control{Front: &Front{Mapper: mapping.MapperFunc(nobody), Sessions: &Sessions{}}}
	for _, c := range []struct {
		remote, host, origin string
		status               int
	}{
		{"127.0.0.1:1", "127.0.0.1:80", "", http.StatusOK},
		{"[::1]:1", "[::1]:80", "", http.StatusOK},
		{"[::ffff:127.0.0.1]:1", "localhost", "", http.StatusOK},
		{"192.0.2.1:1", "127.0.0.1", "", http.StatusForbidden},
		{"", "127.0.0.1", "", http.StatusForbidden},
		{"127.0.0.1:1", "evil.example", "", http.StatusForbidden},
		{"127.0.0.1:1", "localhost", "http://evil.example", http.StatusForbidden},
	} {
		r := httptest.NewRequest("POST", "/kick", strings.NewReader(`{"all": true}`))
		r.RemoteAddr, r.Host = c.remote, c.host
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		w := httptest.NewRecorder()
		control.ServeHTTP(w, r)
		require.Equal(t, c.status, w.Code, "%+v", c)
		require.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))
	}
}

func TestControlAnswersOnAUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	s := httptest.NewUnstartedServer(&Control{Front: &Front{Mapper: mapping.MapperFunc(nobody)}})
	s.Listener.Close()
	s.Listener = l
	s.Start()
	defer s.Close()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) },
	}}
	r, err := client.Get("http://control/sessions")
	require.NoError(t, err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Equal(t, "[]\n", string(text))
}

func TestP43HealthTellsOfTheMapAndEachBackEnd(t *testing.T) {
	c := newCluster(t)
	var down atomic.Bool
	c.Mapper = mapping.NewCache(mapping.MapperFunc(func(ctx context.Context, user string) (mapping.Route, error) {
		if down.Load() {
			return mapping.Route{}, mapping.ErrUnavailable
		}
		return c.Map(ctx, user)
	}), mapping.CacheOptions{})
	c.Health = &Health{}
	c.move("alice", c.a)
	c.mustLogin(t, "alice", c.a.Host).Close()
	control := &Control{Front: c.Front}
	h := must[shownHealth](t, control, "GET", "/health", "")
	require.True(t, h.Up)
	require.Equal(t, "up", h.Map)
	require.Len(t, h.Backends, 1)
	require.Equal(t, "up", h.Backends[0].State)

	outside := httptest.NewRequest("GET", "/ping", nil) // a load balancer elsewhere
	outside.RemoteAddr = "192.0.2.1:1"
	w := httptest.NewRecorder()
	control.Health().ServeHTTP(w, outside)
	require.Equal(t, "PONG\n", w.Body.String())
	w = httptest.NewRecorder()
	outside.URL.Path = "/sessions"
	control.Health().ServeHTTP(w, outside)
	require.Equal(t, http.StatusNotFound, w.Code)

	down.Store(true)
	control.probe.at = time.Time{} // the last answer is too old
	status, text := ask(t, control, "GET", "/health", "")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, text, mapping.ErrUnavailable.Error())
	status, text = ask(t, control, "GET", "/ping", "")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Empty(t, text)
	c.empty(t)
}

func TestDrainIsToldToLoadBalancersAndOutlivesItsRequest(t *testing.T) {
	began, end := make(chan struct{}), make(chan struct{})
	control := &Control{Front: &Front{Mapper: mapping.MapperFunc(nobody)}, Drain: func(ctx context.Context) error {
		close(began)
		deadline, _ := ctx.Deadline()
		require.WithinDuration(t, time.Now().Add(time.Hour), deadline, time.Minute)
		<-end
		return errors.Join(ctx.Err(), context.DeadlineExceeded)
	}}
	ctx, cancel := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, "POST", "http://localhost/drain", strings.NewReader(`{"deadline": "1h"}`))
	r.RemoteAddr = "127.0.0.1:1"
	w, done := httptest.NewRecorder(), make(chan struct{})
	go func() { control.ServeHTTP(w, r); close(done) }()
	<-began
	cancel()
	status, text := ask(t, control, "GET", "/health", "")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, text, `"draining":true`)
	close(end)
	<-done
	require.Equal(t, http.StatusServiceUnavailable, w.Code, "not all had ended in time")
}
