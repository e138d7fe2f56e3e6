package realtest

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// HAProxy is a running HAProxy that passes TCP connections on.
type HAProxy struct {
	Addr    string   // where it listens for the first server
	AddrTLS string   // and with TLS
	Addrs   []string // without it for all of them, in their order
	dir     string
	process *process
}

// StartHAProxy starts an HAProxy in TCP mode before a server
// at an address. Words follow the server in its configuration: "send-proxy-v2"
// has it say who the client is. Stop it afterwards.
func StartHAProxy(ctx context.Context, server string, words ...string) (*HAProxy, error) {
	return StartHAProxyBefore(ctx, []string{server}, words...)
}

// StartHAProxyBefore is StartHAProxy with a listener before each of several
// servers.
func StartHAProxyBefore(ctx context.Context, servers []string, words ...string) (*HAProxy, error) {
	ports, err := freePorts(len(servers) + 1)
	if err != nil {
		return nil, err
	}
	dir, err := stateDir()
	if err != nil {
		return nil, err
	}
	loopback := func(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
	h := &HAProxy{AddrTLS: loopback(ports[len(servers)]), dir: dir}
	conf := fmt.Sprintf(haproxyConf, h.socket())
	for i, server := range servers {
		h.Addrs = append(h.Addrs, loopback(ports[i]))
		secure := ""
		if i == 0 {
			secure = fmt.Sprintf("  bind %s ssl crt %s/cert.pem\n", h.AddrTLS, dir)
		}
		conf += fmt.Sprintf("listen front%d\n  bind %s\n%s  server back %s %s\n", i, h.Addrs[i], secure, server, strings.Join(words, " "))
	}
	h.Addr = h.Addrs[0]
	if err := errors.Join(writeCertificate(dir), os.Rename(filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem.key")), write(dir, "haproxy.cfg", conf)); err != nil {
		h.Stop()
		return nil, err
	}
	h.process, err = startProcess(filepath.Join(dir, "log"), "haproxy", "-db", "-f", filepath.Join(dir, "haproxy.cfg"))
	if err == nil {
		err = h.process.ready(ctx, append(h.Addrs, h.AddrTLS)...)
	}
	if err != nil {
		h.Stop()
		return nil, err
	}
	return h, nil
}

func (h *HAProxy) socket() string { return filepath.Join(h.dir, "stats") }

// HAProxyServer is what an HAProxy thinks of a server.
type HAProxyServer struct {
	Status string // "UP", "DOWN", "no check", …
	Check  string // what came of the last health check: "L4OK", …; "INI": there was none yet
	Failed string // how many health checks have failed, in all
}

// Servers returns what it thinks of the servers, in their order.
func (h *HAProxy) Servers(ctx context.Context) ([]HAProxyServer, error) {
	nc, err := (&net.Dialer{}).DialContext(ctx, "unix", h.socket())
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(nc, "show stat\n"); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(nc)
	if err != nil {
		return nil, err
	}
	rows, err := csv.NewReader(strings.NewReader(strings.TrimSpace(string(text)))).ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, fmt.Errorf("show stat: %w\n%s", err, text)
	}
	column := make(map[string]int)
	for i, name := range rows[0] {
		column[name] = i
	}
	var all []HAProxyServer
	for _, row := range rows[1:] {
		if row[column["svname"]] == "back" {
			all = append(all, HAProxyServer{row[column["status"]], strings.TrimPrefix(row[column["check_status"]], "* "), row[column["chkfail"]]})
		}
	}
	return all, nil
}

// Pid is its process.
func (h *HAProxy) Pid() int { return h.process.cmd.Process.Pid }

// Stop ends HAProxy and removes its state.
func (h *HAProxy) Stop() {
	if h.process != nil {
		h.process.end(syscall.SIGTERM)
	}
	_ = os.RemoveAll(h.dir)
}

const haproxyConf = `global
  stats socket %s mode 600 level user
  maxconn 8500
  maxpipes 500
defaults
  mode tcp
  option splice-auto
  timeout connect 10s
  timeout client 31m
  timeout server 31m
`
