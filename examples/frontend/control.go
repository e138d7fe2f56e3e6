package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/posthouse-mail/posthouse/listener"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
	"github.com/posthouse-mail/posthouse/server"
)

// control is how an operator looks at a front end and moves users, for who is
// on this machine:
//
//	GET  /health                      200 "ok" while this process serves, and what it thinks of each back end
//	GET  /sessions                    who is connected, a JSON object a line
//	POST /kick?user=U&host=H&over=10s end the sessions of a user, of a back end, or of all, spread over a time
//	POST /delay?user=U&for=30s        let logins of a user wait; 0s ends it
//	POST /invalidate?user=U           forget where a user lives; without one, where all do
func (f *frontend) control() server.Service {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", f.tellHealth)
	mux.HandleFunc("GET /sessions", f.listSessions)
	mux.HandleFunc("POST /kick", f.kick)
	mux.HandleFunc("POST /delay", f.delay)
	mux.HandleFunc("POST /invalidate", func(_ http.ResponseWriter, r *http.Request) { f.maps.invalidate(r.FormValue("user")) })
	// A web page that the operator looks at must not do any of it.
	handler := http.NewCrossOriginProtection().Handler(mux)
	return &server.Protocol{
		Title: "control",
		Engine: func() server.Engine {
			return server.HTTP(&http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second})
		},
		Listeners: []listener.Config{{Address: f.config.Control, Limits: listener.Limits{Connections: 50}, Sockets: f.sockets}},
		Bound:     f.bind("control"),
	}
}

func (f *frontend) tellHealth(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, "ok")
	for _, h := range f.health.List() {
		fmt.Fprintf(w, "%s %s since %s %s\n", h.Address, h.State, h.Since.Format(time.RFC3339), h.Reason)
	}
}

func (f *frontend) listSessions(w http.ResponseWriter, _ *http.Request) {
	e := json.NewEncoder(w)
	for s := range f.sessions.List() {
		if e.Encode(s) != nil {
			return
		}
	}
}

func (f *frontend) kick(w http.ResponseWriter, r *http.Request) {
	over, err := time.ParseDuration(r.FormValue("over"))
	if r.FormValue("over") != "" && err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	user, _ := mapping.NormalName(r.FormValue("user"))
	host := r.FormValue("host")
	n, err := f.sessions.Kick(r.Context(), func(s proxy.Session) bool {
		return (user == "" || s.User == user) && (host == "" || s.Host == host)
	}, over)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintf(w, "%d sessions have ended\n", n)
}

func (f *frontend) delay(w http.ResponseWriter, r *http.Request) {
	d, err := time.ParseDuration(r.FormValue("for"))
	if err != nil || r.FormValue("user") == "" {
		http.Error(w, "user and for, a duration, are needed", http.StatusBadRequest)
		return
	}
	f.sessions.Delay(r.FormValue("user"), time.Now().Add(d))
}

// validateControl refuses a control interface that others can reach.
func (c *Config) validateControl() error {
	if c.Control == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(c.Control)
	if address, parsed := netip.ParseAddr(host); err != nil || parsed != nil || !address.IsLoopback() {
		return fmt.Errorf("control is %q, not a loopback address and a port", c.Control)
	}
	return nil
}
