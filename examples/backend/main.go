// Backend is a back end of a cluster, composed from Posthouse's parts: it keeps
// the mail of its users, takes mail for them by SMTP and LMTP and from them by
// submission, and serves it by IMAP and POP3. It believes its front ends what
// they tell of their clients.
//
//	backend [-config FILE] [-data DIR] [command]
//
// The commands move users to and from other back ends, and ask the process that
// serves the data directory; -help shows them. Without a configuration it listens on loopback, believes what comes from
// there, and has one account, whose password it prints once. fullnode is the
// program with everything that an operator needs; this one is to be read.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/posthouse-mail/posthouse/examples/internal/config"
	"github.com/posthouse-mail/posthouse/examples/internal/moving"
	"github.com/posthouse-mail/posthouse/examples/internal/socket"
)

// Config is the configuration file. Every key is optional.
type Config struct {
	Hostname  string           `toml:"hostname"`           // in greetings and trace headers
	Address   string           `toml:"address"`            // to listen on, at the ports of fullnode
	FrontEnds config.FrontEnds `toml:"trusted_front_ends"` // whose word on their clients is taken, and who may send passwords without TLS
	Domain    string           `toml:"domain"`
	Drain     config.Duration  `toml:"drain"`
	LogLevel  slog.Level       `toml:"log_level"`
	TLS       config.TLS       `toml:"tls"`
	LDAP      *config.LDAP     `toml:"ldap"` // the directory of the cluster; none: accounts of one's own
	config.Place

	config.ProxyProtocol // of all listeners, for front ends that tell by "proxy"
}

// domains are those of the cluster.
func (c *Config) domains() []string {
	if c.LDAP == nil {
		return nil
	}
	return c.LDAP.Domains
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	file := flag.String("config", "", "configuration `file` (TOML); every key is optional")
	data := flag.String("data", "./backend-data", "data `directory`")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: backend [-config FILE] [-data DIR] [COMMAND]\n\ncommands:")
		fmt.Fprintln(flag.CommandLine.Output(), moving.Usage+"\nflags:")
		flag.PrintDefaults()
	}
	flag.Parse()
	err := error(nil)
	if moving.Is(flag.Arg(0)) {
		err = (&moving.Command{Node: socket.Dial(*data), In: os.Stdin, Out: os.Stdout}).Run(ctx, flag.Args())
	} else {
		err = run(ctx, *file, *data, os.Stdout)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "backend:", err)
		os.Exit(1)
	}
}

// run serves what is in a data directory until ctx ends.
func run(ctx context.Context, file, data string, out io.Writer) error {
	c := &Config{
		Hostname: "localhost", Address: "127.0.0.1", FrontEnds: config.FrontEnds{netip.MustParsePrefix("127.0.0.0/8")},
		Domain: "example.test", Drain: config.Duration(10 * time.Second),
	}
	if file != "" {
		if err := config.Load(file, c, func(string) error {
			return errors.Join(c.TLS.Validate(), c.ProxyProtocol.Validate(), c.Place.Validate(c.domains()))
		}); err != nil {
			return err
		}
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: c.LogLevel})))
	b := &backend{config: c, data: data}
	err := b.open(ctx, out)
	if err == nil {
		err = b.serve(ctx, out)
	}
	return errors.Join(err, b.close())
}
