package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// way is a way to a back end: through a front end, or directly.
type way struct {
	name    string
	imap    string // addresses; empty: it has none
	imapTLS string
	pop3    string
	pid     int // of the front end; 0: there is none
	stop    func()
}

// The ways, in the order of the table.
const (
	direct  = "direct"
	ours    = "Posthouse"
	nginx   = "nginx"
	dovecot = "Dovecot"
	haproxy = "HAProxy"
)

var wayNames = []string{direct, ours, nginx, dovecot, haproxy}

// missingWays says which front ends can't be measured here, and why.
func missingWays() map[string]string {
	missing := map[string]string{}
	if !installed("haproxy") {
		missing[haproxy] = "it is not installed"
	}
	if !installed("nginx") || !realtest.HasNginxMail() {
		missing[nginx] = "it is not installed with its mail proxy"
	}
	if !installed("dovecot") {
		missing[dovecot] = "it is not installed"
	} else if os.Getuid() != 0 {
		missing[dovecot] = "only root can start it"
	}
	return missing
}

// backEnds are the ports of loopback where mail is.
type backEnds struct {
	name       string
	imap, pop3 int // pop3 0: it has none
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// startWays starts a front end of each kind before a back end. env is more in
// the environment of ours. Stop each.
func startWays(ctx context.Context, frontend string, to backEnds, env ...string) (ways []*way, err error) {
	defer func() {
		if err != nil {
			stopWays(ways)
		}
	}()
	plain := &way{name: direct, imap: loopback(to.imap), stop: func() {}}
	if to.pop3 != 0 {
		plain.pop3 = loopback(to.pop3)
	}
	ways = append(ways, plain)
	missing := missingWays()
	for _, start := range []struct {
		name  string
		start func() (*way, error)
	}{
		{ours, func() (*way, error) { return startFrontend(frontend, to, env) }},
		{nginx, func() (*way, error) { return startNginxWay(ctx, to) }},
		{dovecot, func() (*way, error) { return startDovecotWay(ctx, to) }},
		{haproxy, func() (*way, error) { return startHAProxyWay(ctx, to) }},
	} {
		if missing[start.name] != "" {
			continue
		}
		w, err := start.start()
		if err != nil {
			return ways, fmt.Errorf("%s: %w", start.name, err)
		}
		w.name = start.name
		ways = append(ways, w)
	}
	return ways, nil
}

func stopWays(ways []*way) {
	for _, w := range ways {
		w.stop()
	}
}

// startFrontend starts examples/frontend, which program is.
func startFrontend(program string, to backEnds, env []string) (*way, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	w := &way{}
	for _, address := range []*string{&w.imap, &w.imapTLS, &w.pop3} {
		port, err := realtest.FreePort()
		if err != nil {
			return nil, err
		}
		*address = loopback(port)
	}
	config := fmt.Sprintf(frontendConfig, dir, w.imap, w.imapTLS, to.imap, w.pop3, to.pop3)
	file := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	cmd, err := startReady(program, env, "-config", file)
	if err != nil {
		return nil, err
	}
	w.pid = cmd.Process.Pid
	w.stop = func() {
		endProgram(cmd)
		_ = os.RemoveAll(dir)
	}
	return w, nil
}

const frontendConfig = `control = ""
log_level = "WARN"
state = %q
default_route = "127.0.0.1,tls=none"
[[service]]
protocol = "imap"
listen = [%q]
listen_tls = [%q]
backend_port = %d
[[service]]
protocol = "pop3"
listen = [%q]
backend_port = %d
`

// startNginxWay starts nginx, which asks a server in this process where
// everybody lives: its time is not counted.
func startNginxWay(ctx context.Context, to backEnds) (*way, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	guide := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		port := to.imap
		if r.Header.Get("Auth-Protocol") == "pop3" {
			port = to.pop3
		}
		w.Header().Set("Auth-Status", "OK")
		w.Header().Set("Auth-Server", "127.0.0.1")
		w.Header().Set("Auth-Port", strconv.Itoa(port))
	})}
	go func() { _ = guide.Serve(l) }()
	n, err := realtest.StartNginx(ctx, "http://"+l.Addr().String()+"/", "key")
	if err != nil {
		guide.Close()
		return nil, err
	}
	return &way{imap: loopback(n.IMAP), imapTLS: loopback(n.IMAPS), pop3: loopback(n.POP3), pid: n.Pid(), stop: func() {
		n.Stop()
		guide.Close()
	}}, nil
}

func startDovecotWay(ctx context.Context, to backEnds) (*way, error) {
	d, err := realtest.StartDovecotProxy(ctx, realtest.Backends{IMAP: to.imap, POP3: to.pop3})
	if err != nil {
		return nil, err
	}
	return &way{imap: loopback(d.IMAP), imapTLS: loopback(d.IMAPS), pop3: loopback(d.POP3), pid: d.Pid(), stop: d.Stop}, nil
}

// startHAProxyWay starts HAProxy in TCP mode, before IMAP alone.
func startHAProxyWay(ctx context.Context, to backEnds) (*way, error) {
	h, err := realtest.StartHAProxy(ctx, loopback(to.imap))
	if err != nil {
		return nil, err
	}
	return &way{imap: h.Addr, imapTLS: h.AddrTLS, pid: h.Pid(), stop: h.Stop}, nil
}

// reportMissing prints a line for each front end that is left out.
func reportMissing(out io.Writer) {
	missing := missingWays()
	for _, name := range wayNames {
		if why := missing[name]; why != "" {
			fmt.Fprintf(out, "%s is left out: %s\n", name, why)
		}
	}
}
