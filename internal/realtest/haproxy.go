package realtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// HAProxy is a running HAProxy that passes TCP connections on.
type HAProxy struct {
	Addr    string // where it listens
	AddrTLS string // where it does with TLS
	dir     string
	process *process
}

// StartHAProxy starts an HAProxy in TCP mode before a server
// at an address. Words follow the server in its configuration: "send-proxy-v2"
// has it say who the client is. Stop it afterwards.
func StartHAProxy(ctx context.Context, server string, words ...string) (*HAProxy, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	dir, err := stateDir()
	if err != nil {
		return nil, err
	}
	h := &HAProxy{Addr: fmt.Sprintf("127.0.0.1:%d", ports[0]), AddrTLS: fmt.Sprintf("127.0.0.1:%d", ports[1]), dir: dir}
	conf := fmt.Sprintf(haproxyConf, h.Addr, server, strings.Join(words, " "), h.AddrTLS, dir)
	if err := errors.Join(writeCertificate(dir), os.Rename(filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem.key")), write(dir, "haproxy.cfg", conf)); err != nil {
		h.Stop()
		return nil, err
	}
	h.process, err = startProcess(filepath.Join(dir, "log"), "haproxy", "-db", "-f", filepath.Join(dir, "haproxy.cfg"))
	if err == nil {
		err = h.process.ready(ctx, h.Addr, h.AddrTLS)
	}
	if err != nil {
		h.Stop()
		return nil, err
	}
	return h, nil
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
  maxconn 8500
  maxpipes 500
defaults
  mode tcp
  option splice-auto
  timeout connect 10s
  timeout client 31m
  timeout server 31m
listen front
  bind %[1]s
  bind %[4]s ssl crt %[5]s/cert.pem
  server back %[2]s %[3]s
`
