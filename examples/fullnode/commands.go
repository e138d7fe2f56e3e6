package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/posthouse-mail/posthouse/examples/internal/datadir"
	"github.com/posthouse-mail/posthouse/examples/internal/moving"
	"github.com/posthouse-mail/posthouse/examples/internal/socket"
	"github.com/posthouse-mail/posthouse/queue"
)

// command is an administration command on its way to a node.
type command struct {
	config *Config
	data   string
	in     io.Reader
	out    io.Writer
	node   http.RoundTripper // the control handler of the data directory
}

// runCommand runs one of the commands of usage, through the node that serves
// the data directory or, when there is none, on the directory itself.
func runCommand(ctx context.Context, c *command, args []string) error {
	run, err := c.find(args)
	if err != nil {
		return err
	}
	if _, err := os.Stat(c.data); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	lock, err := datadir.Lock(c.data)
	if errors.Is(err, datadir.ErrInUse) {
		c.node = socket.Dial(c.data)
		return run(ctx)
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	if args[0] == "check" {
		return c.checkDirectory(ctx, lock, args[1:])
	}
	o, err := openData(c.config, lock)
	if err != nil {
		return err
	}
	defer o.Close()
	c.node = direct{newControl(o)}
	return run(ctx)
}

// find returns what to run for the words of a command line.
func (c *command) find(args []string) (func(ctx context.Context) error, error) {
	words := strings.Join(args[:min(2, len(args))], " ")
	rest := args[min(2, len(args)):]
	switch {
	case words == "user add" && len(rest) == 1:
		return c.withPassword(http.MethodPost, "/users/"+url.PathEscape(rest[0])), nil
	case words == "user passwd" && len(rest) == 1:
		return c.withPassword(http.MethodPut, "/users/"+url.PathEscape(rest[0])+"/password"), nil
	case words == "user list" && len(rest) == 0:
		return c.simple(http.MethodGet, "/users"), nil
	case words == "user remove" && len(rest) == 1:
		return c.simple(http.MethodDelete, "/users/"+url.PathEscape(rest[0])), nil
	case len(args) > 0 && slices.Contains([]string{"domain", "alias", "group", "folder"}, args[0]):
		return c.addresses(args)
	case len(args) > 0 && args[0] == "ban":
		return c.ban(args[1:])
	case words == "queue list" && len(rest) == 0:
		return c.queueList, nil
	case words == "queue show" && len(rest) == 1:
		return c.simple(http.MethodGet, "/queue/"+url.PathEscape(rest[0])), nil
	case words == "queue retry":
		return c.simple(http.MethodPost, "/queue/retry?"+url.Values{"id": rest}.Encode()), nil
	case words == "queue remove" && len(rest) > 0:
		return c.queueRemove(rest), nil
	case words == "quota show" && len(rest) == 0:
		return c.simple(http.MethodGet, "/quota"), nil
	case words == "quota show" && len(rest) == 1:
		return c.simple(http.MethodGet, "/quota/"+url.PathEscape(rest[0])), nil
	case words == "quota set" && len(rest) > 1:
		return c.withSettings(http.MethodPut, "/quota/"+url.PathEscape(rest[0]), rest[1:]), nil
	case words == "quota reset" && len(rest) > 0:
		return c.withSettings(http.MethodDelete, "/quota/"+url.PathEscape(rest[0]), rest[1:]), nil
	case len(args) > 0 && args[0] == "mailbox":
		return c.mailbox(args[1:])
	case len(args) > 0 && args[0] == "acl":
		return c.acl(args[1:])
	case len(args) > 0 && args[0] == "check":
		return c.checkNode(args[1:])
	case len(args) > 0 && args[0] == "stats":
		return c.printStats(args[1:])
	case len(args) > 0 && args[0] == "undelete":
		return c.undelete(args[1:])
	case words == "purge":
		return c.simple(http.MethodPost, "/purge"), nil
	case args[0] == "snapshot" && len(args) == 2:
		return c.snapshot(args[1])
	case moving.Is(args[0]):
		return func(ctx context.Context) error {
			return (&moving.Command{Node: c.node, In: c.in, Out: c.out}).Run(ctx, args)
		}, nil
	case args[0] == "export" || args[0] == "import":
		return c.transfer(args)
	}
	return nil, fmt.Errorf("unknown command %q; -help shows the commands", strings.Join(args, " "))
}

// call sends a request to the node and returns its answer's body.
func (c *command) call(ctx context.Context, method, path string, body io.Reader) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://node"+path, body)
	if err != nil {
		return nil, err
	}
	res, err := c.node.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if res.StatusCode >= 400 {
		defer res.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		return nil, errors.New(strings.TrimSpace(string(text)))
	}
	return res.Body, nil
}

// simple is a command that prints what the node answers.
func (c *command) simple(method, path string) func(ctx context.Context) error {
	return func(ctx context.Context) error { return c.print(ctx, method, path, nil) }
}

func (c *command) print(ctx context.Context, method, path string, body io.Reader) error {
	answer, err := c.call(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	_, err = io.Copy(c.out, answer)
	return err
}

func (c *command) withPassword(method, path string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		password, err := c.readPassword()
		if err != nil {
			return err
		}
		return c.print(ctx, method, path, strings.NewReader(password))
	}
}

// readPassword asks on a terminal and otherwise takes the first line.
func (c *command) readPassword() (string, error) {
	if f, ok := c.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(c.out, "password: ")
		password, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(c.out)
		return string(password), err
	}
	line, err := bufio.NewReader(c.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}

func (c *command) queueList(ctx context.Context) error {
	answer, err := c.call(ctx, http.MethodGet, "/queue", nil)
	if err != nil {
		return err
	}
	defer answer.Close()
	table := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tSIZE\tFROM\tTO\tTRIES\tNEXT\tLAST REPLY")
	for d := json.NewDecoder(answer); ; {
		var e queue.Entry
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			return table.Flush()
		} else if err != nil {
			return err
		}
		fmt.Fprintf(table, "%d\t%d\t<%s>\t<%s>\t%d\t%s\t%s\n", e.ID, e.Size, e.From, e.To, e.Attempts, e.Next.Format(time.DateTime), e.LastReply)
	}
}

func (c *command) queueRemove(ids []string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		for _, id := range ids {
			if err := c.print(ctx, http.MethodDelete, "/queue/"+url.PathEscape(id), nil); err != nil {
				return fmt.Errorf("%s: %w", id, err)
			}
		}
		return nil
	}
}
