package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// module is where the programs are that run in the cluster.
const module = "github.com/posthouse-mail/posthouse/examples/"

//go:embed directory
var directoryFiles embed.FS

// cluster is what runs. The directory has the address 1, the back ends 11 and
// 12, and the front ends 21 and 22 of the network.
type cluster struct {
	dir     string
	network string
	slapd   *process
	backs   [2]*process
	fronts  [2]*process
}

func (c *cluster) address(n int) string { return fmt.Sprintf("%s.%d", c.network, n) }

// back and front return the addresses of hosts, which are counted from 1.
func (c *cluster) back(n int) string  { return c.address(10 + n) }
func (c *cluster) front(n int) string { return c.address(20 + n) }

func (c *cluster) ldap() string { return "ldap://" + net.JoinHostPort(c.address(1), "3890") }

// start builds the programs and starts everything, in the order in which one
// needs the other.
func (c *cluster) start(ctx context.Context, out io.Writer) error {
	fmt.Fprintln(out, "building the programs ...")
	if err := c.build(ctx); err != nil {
		return err
	}
	fmt.Fprintln(out, "starting a directory, two back ends and two front ends ...")
	if err := c.startDirectory(ctx); err != nil {
		return err
	}
	for n := 1; n <= 2; n++ {
		if err := c.startBack(ctx, n); err != nil {
			return err
		}
	}
	if err := c.writeAuthorities(); err != nil {
		return err
	}
	for n := 1; n <= 2; n++ {
		if err := c.startFront(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// build builds the programs.
func (c *cluster) build(ctx context.Context) error {
	build := exec.CommandContext(ctx, "go", "build", "-o", c.dir+"/", module+"backend", module+"frontend")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, text)
	}
	return nil
}

// startDirectory starts slapd with the files in directory, as its README says,
// and the addresses of this cluster in the place of the names of back ends.
func (c *cluster) startDirectory(ctx context.Context) error {
	dir := filepath.Join(c.dir, "directory")
	files, err := fs.Sub(directoryFiles, "directory")
	if err == nil {
		err = os.CopyFS(dir, files)
	}
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "data"), 0o700)
	}
	if err != nil {
		return err
	}
	entries := filepath.Join(dir, "base.ldif")
	text, err := os.ReadFile(entries)
	if err != nil {
		return err
	}
	here := strings.NewReplacer("backend1.example.test", c.back(1), "backend2.example.test", c.back(2))
	if err := os.WriteFile(entries, []byte(here.Replace(string(text))), 0o600); err != nil {
		return err
	}
	if c.slapd, err = launch(dir, "slapd", "slapd", "-f", "slapd.conf", "-h", c.ldap(), "-d", "none"); err != nil {
		return err
	}
	if err := c.slapd.ready(ctx, func() bool { return answers(c.address(1), "3890") }); err != nil {
		return err
	}
	return c.administer(ctx, "ldapadd", string(here.Replace(string(text))))
}

// administer changes the directory, as its administrator.
func (c *cluster) administer(ctx context.Context, tool, ldif string) error {
	cmd := exec.CommandContext(ctx, tool, "-x", "-H", c.ldap(), "-D", "cn=admin,dc=example,dc=test", "-w", "adminpw")
	cmd.Stdin = strings.NewReader(ldif)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", tool, err, text)
	}
	return nil
}

// answers reports whether somebody listens.
func answers(host, port string) bool {
	nc, err := net.Dial("tcp", net.JoinHostPort(host, port))
	if err == nil {
		nc.Close()
	}
	return err == nil
}

func (c *cluster) startBack(ctx context.Context, n int) error {
	name := fmt.Sprintf("backend%d", n)
	p, err := c.program(ctx, "backend", name, fmt.Sprintf(backConfig, name, c.back(n), c.front(1), c.front(2), c.ldap()), "-data", name)
	if err == nil {
		c.backs[n-1] = p
	}
	return err
}

func (c *cluster) startFront(ctx context.Context, n int) error {
	name := fmt.Sprintf("frontend%d", n)
	p, err := c.program(ctx, "frontend", name, fmt.Sprintf(frontConfig, name, c.front(n), c.ldap()))
	if err == nil {
		c.fronts[n-1] = p
	}
	return err
}

// program starts one of the built programs and waits until it serves.
func (c *cluster) program(ctx context.Context, program, name, config string, args ...string) (*process, error) {
	file := name + ".toml"
	if err := os.WriteFile(filepath.Join(c.dir, file), []byte(config), 0o600); err != nil {
		return nil, err
	}
	_ = os.Remove(filepath.Join(c.dir, name+".log")) // of an earlier start
	p, err := launch(c.dir, name, append([]string{filepath.Join(c.dir, program), "-config", file}, args...)...)
	if err != nil {
		return nil, err
	}
	if err := p.ready(ctx, p.saysReady); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// writeAuthorities tells the front ends which certificates back ends have.
func (c *cluster) writeAuthorities() error {
	var all []byte
	for n := 1; n <= 2; n++ {
		pem, err := os.ReadFile(filepath.Join(c.dir, fmt.Sprintf("backend%d", n), "tls", "cert.pem"))
		if err != nil {
			return err
		}
		all = append(all, pem...)
	}
	return os.WriteFile(filepath.Join(c.dir, "backends.pem"), all, 0o600)
}

// stop stops everything, in the opposite order.
func (c *cluster) stop() error {
	var errs []error
	for _, p := range []*process{c.fronts[1], c.fronts[0], c.backs[1], c.backs[0], c.slapd} {
		if p != nil {
			errs = append(errs, p.stop())
		}
	}
	return errors.Join(errs...)
}
