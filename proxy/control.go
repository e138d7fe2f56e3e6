package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/posthouse-mail/posthouse/mapping"
)

// maxControlBody bounds what a request to Control carries.
const maxControlBody = 64 << 10

// Control is a front end's control interface, an http.Handler that speaks JSON:
//
//	GET    /sessions?user=&host=&protocol=   who is connected
//	POST   /kick     {"user", "host", "protocol", "all": true, "over": "30s"}
//	GET    /delays                           whose logins wait
//	PUT    /delays/{user}  {"for": "30s"} or {"until": "2026-01-02T15:04:05Z"}
//	DELETE /delays/{user}
//	GET    /cache?user=                      what is remembered of the map
//	POST   /cache/{user}                     asks the map again
//	DELETE /cache, /cache/{user}             forgets all, or one
//	POST   /drain    {"deadline": "5m"}
//	GET    /health                           200 or 503, and why
//	GET    /ping                             200 PONG or 503
//
// kick and drain answer when they are through: kick with the number of sessions
// that there were, of those whom all that it names fits; "all" is needed to
// name nothing. What is wrong with a request is told as {"error": "..."}.
//
// Whoever reaches it may do all this: it answers loopback addresses and Unix
// sockets only, and no request that a browser sends for a page of another
// site. Don't put a proxy in front of it that others reach. Health and ping
// alone, for load balancers elsewhere, are what Health returns.
//
// Set its fields before its first use. Front is required.
type Control struct {
	Front *Front
	// Drain stops accepting, lets the sessions end, and returns when they have,
	// or when ctx ends, which is the deadline of the request: the Shutdown of
	// the servers, for one. nil: there is no drain.
	Drain func(ctx context.Context) error
	// Probe is the user whom health asks the map about; whether he is mapped does
	// not matter. Empty: "health-check@invalid".
	Probe string

	once     sync.Once
	handler  http.Handler
	health   http.Handler
	draining atomic.Bool
	probe    probe
}

// errBadRequest is for what is wrong with a request itself.
var (
	errBadRequest = errors.New("bad request")
	errNotHere    = errors.New("there is none here")
)

// ServeHTTP answers a request.
func (c *Control) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.once.Do(c.init)
	c.handler.ServeHTTP(w, r)
}

// LocalOnly lets in whom a Control answers: loopback addresses and Unix sockets,
// and no request that a browser sends for a page of another site. It is for what
// stands beside one.
func LocalOnly(next http.Handler) http.Handler {
	next = http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLocal(r) {
			http.Error(w, `{"error": "only this machine is answered"}`, http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Health returns a handler of /health and /ping alone, which answers everybody.
func (c *Control) Health() http.Handler {
	c.once.Do(c.init)
	return c.health
}

func (c *Control) init() {
	mux := http.NewServeMux()
	handle := func(pattern string, f func(r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, maxControlBody)
			v, err := f(r)
			if err != nil {
				answer(w, statusOf(err), map[string]string{"error": err.Error()})
				return
			}
			answer(w, http.StatusOK, v)
		})
	}
	handle("GET /sessions", c.listSessions)
	handle("POST /kick", c.kick)
	handle("GET /delays", c.listDelays)
	handle("PUT /delays/{user}", c.delay)
	handle("DELETE /delays/{user}", c.endDelay)
	handle("GET /cache", c.listCache)
	handle("POST /cache/{user}", c.refresh)
	handle("DELETE /cache", c.forgetAll)
	handle("DELETE /cache/{user}", c.forget)
	handle("POST /drain", c.drain)
	health := http.NewServeMux()
	health.HandleFunc("GET /health", c.showHealth)
	health.HandleFunc("GET /ping", c.ping)
	mux.Handle("GET /health", health)
	mux.Handle("GET /ping", health)
	c.handler, c.health = LocalOnly(mux), health
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, errBadRequest):
		return http.StatusBadRequest
	case errors.Is(err, errNotHere), errors.Is(err, mapping.ErrNotMapped):
		return http.StatusNotFound
	}
	return http.StatusServiceUnavailable
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// isLocal looks at the connection, and for the sake of browsers, which can be
// told that any name is a loopback address, at the name that was asked for.
func isLocal(r *http.Request) bool {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && local.Network() == "unix" {
		return true
	}
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !remote.Addr().Unmap().IsLoopback() {
		return false
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

// read takes a request's body apart. An empty one sets nothing.
func read(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", errBadRequest, err)
	}
	return nil
}

// span is a duration as Go writes it; empty: 0.
type span time.Duration

func (s *span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err == nil && d < 0 {
		err = errors.New("a time is not negative")
	}
	*s = span(d)
	return err
}
