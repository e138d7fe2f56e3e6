package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/directory/embedded"
	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// node is a full node, built from this tree.
type node struct {
	dir     string
	cmd     *exec.Cmd
	address string
}

func (*node) name() string { return "Posthouse" }

// startNode builds the full node, fills its directory with accounts and
// starts it, with the mail directory beside the temporary files.
func startNode(ctx context.Context) (*node, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	n := &node{dir: dir}
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", n.file("fullnode"), "./examples/fullnode").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	if err := n.makeAccounts(ctx); err != nil {
		return nil, err
	}
	port, err := realtest.FreePort()
	if err != nil {
		return nil, err
	}
	n.address = fmt.Sprintf("127.0.0.1:%d", port)
	config := fmt.Sprintf("log_level = \"WARN\"\n[smtp]\nlisten = [%q]\n", n.address)
	for _, s := range []string{"submission", "lmtp", "imap", "pop3", "http"} {
		config += fmt.Sprintf("[%s]\nlisten = []\nlisten_tls = []\n", s)
	}
	if err := os.WriteFile(n.file("config.toml"), []byte(config), 0o600); err != nil {
		return nil, err
	}
	return n, n.start()
}

func (n *node) file(name string) string { return filepath.Join(n.dir, name) }

func (n *node) makeAccounts(ctx context.Context) error {
	if err := os.MkdirAll(n.file("data"), 0o700); err != nil {
		return err
	}
	d, err := embedded.Open(n.file("data/directory.jsonl"))
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.AddDomain(ctx, "example.test"); err != nil {
		return err
	}
	for i := range mailboxes {
		if err := d.AddAccount(ctx, directory.Account{Name: fmt.Sprintf("user%d@example.test", i)}); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) start() error {
	n.cmd = exec.Command(n.file("fullnode"), "-config", n.file("config.toml"), "-data", n.file("data"))
	n.cmd.Stderr = os.Stderr
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := n.cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) == "ready" {
			return nil
		}
	}
	return fmt.Errorf("the node ended before it was ready: %w", n.cmd.Wait())
}

// deliver: the node's 250 says that the message is in its mailbox, durably.
func (n *node) deliver(ctx context.Context, l load) (float64, error) {
	began := time.Now()
	err := send(ctx, n.address, "example.test", l)
	return float64(l.messages) / time.Since(began).Seconds(), err
}

func (n *node) stop() {
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	_ = n.cmd.Wait()
	_ = os.RemoveAll(n.dir)
}
