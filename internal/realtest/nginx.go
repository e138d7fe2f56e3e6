package realtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Nginx is a running mail proxy of nginx. SMTP takes mail without a login.
type Nginx struct {
	IMAP, POP3, SMTP int // ports
	IMAPS            int // with TLS from the first octet
	dir              string
	cmd              *exec.Cmd
}

// nginxMail is where distributions put the module of the mail proxy.
const nginxMail = "/usr/lib/nginx/modules/ngx_mail_module.so"

// RequireNginx is Require for nginx with its mail proxy.
func RequireNginx(t testing.TB) {
	t.Helper()
	Require(t, "nginx")
	if !HasNginxMail() {
		Missing(t, nginxMail)
	}
}

// HasNginxMail reports whether nginx has its mail proxy here.
func HasNginxMail() bool {
	_, err := os.Stat(nginxMail)
	return err == nil
}

// StartNginx starts a mail proxy that asks at url ("http://127.0.0.1:80/auth")
// who lives where, with a key in X-Auth-Key. Stop it afterwards.
func StartNginx(ctx context.Context, url, key string) (*Nginx, error) {
	dir, err := stateDir()
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(4)
	if err != nil {
		return nil, err
	}
	n := &Nginx{IMAP: ports[0], POP3: ports[1], SMTP: ports[2], IMAPS: ports[3], dir: dir}
	conf := fmt.Sprintf(nginxConf, nginxMail, dir, strings.TrimPrefix(url, "http://"), key, n.IMAP, n.POP3, n.SMTP, n.IMAPS)
	if err := writeCertificate(dir); err != nil {
		return nil, err
	}
	if err := write(dir, "nginx.conf", conf); err != nil {
		return nil, err
	}
	return n, n.start(ctx)
}

func (n *Nginx) start(ctx context.Context) error {
	log := filepath.Join(n.dir, "log")
	n.cmd = exec.Command("nginx", "-e", log, "-p", n.dir, "-c", filepath.Join(n.dir, "nginx.conf"))
	if err := n.cmd.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for _, p := range []int{n.IMAP, n.POP3, n.SMTP, n.IMAPS} {
		if err := WaitPort(ctx, p); err != nil {
			text, _ := os.ReadFile(log)
			n.Stop()
			return fmt.Errorf("%w\n%s", err, text)
		}
	}
	return nil
}

// Pid is the process that has started all others.
func (n *Nginx) Pid() int { return n.cmd.Process.Pid }

// Stop ends the proxy and removes its state.
func (n *Nginx) Stop() {
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	_ = n.cmd.Wait()
	_ = os.RemoveAll(n.dir)
}

const nginxConf = `load_module %[1]s;
daemon off;
worker_processes auto;
worker_rlimit_nofile 20000;
pid %[2]s/pid;
error_log %[2]s/log warn;
events {
  worker_connections 20000;
}
mail {
  server_name proxy.example.test;
  auth_http %[3]s;
  auth_http_header X-Auth-Key "%[4]s";
  proxy_pass_error_message on;
  timeout 1h;
  ssl_certificate %[2]s/cert.pem;
  ssl_certificate_key %[2]s/key.pem;
  server {
    listen 127.0.0.1:%[5]d;
    protocol imap;
    imap_auth plain login;
  }
  server {
    listen 127.0.0.1:%[8]d ssl;
    protocol imap;
    imap_auth plain login;
  }
  server {
    listen 127.0.0.1:%[6]d;
    protocol pop3;
    pop3_auth plain;
  }
  server {
    listen 127.0.0.1:%[7]d;
    protocol smtp;
    smtp_auth none;
    xclient off;
  }
}
`
