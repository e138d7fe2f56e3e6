// Frontend is a front end of a cluster, composed from Posthouse's parts: it
// takes IMAP, POP3, ManageSieve, submission and SMTP, finds out where each user
// lives, and passes him on. It keeps no mail and nothing that another front end
// would need, unless it is told to keep a queue: run as many as you like, and
// kill any of them.
//
//	frontend -map FILE
//	frontend -config FILE [-map FILE] [config]
//
// With -map alone it listens on loopback and reads from a file who lives where,
// a name and a host on each line:
//
//	alice@example.test  127.0.0.1,tls=none
//
// doc/cluster.md tells what can be built from front ends and back ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `usage: frontend [-config FILE] [-map FILE] [COMMAND]

commands:
  serve    run the front end (the default)
  config   print the effective configuration

signals:
  HUP      read user maps and certificates again
  USR2     start the program anew, as after an upgrade, and give it the sockets
  TERM     stop: sessions may go on for the time that "drain" says

flags:
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, errReported) {
		fmt.Fprintln(os.Stderr, "frontend:", err)
	}
	if err != nil {
		os.Exit(1)
	}
}

// errReported is the error of a command that has printed what is wrong.
var errReported = errors.New("reported")

// run is main with its surroundings as arguments.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("frontend", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	file := flags.String("config", "", "configuration `file` (TOML); every key is optional")
	users := flags.String("map", "", "user map `file`: the map of all services that pick none")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return errReported // the flag set has printed it
	}
	c, err := loadConfig(*file, *users)
	if err != nil {
		return err
	}
	switch flags.Arg(0) {
	case "", "serve":
		return serve(ctx, c, out)
	case "config":
		return c.write(out)
	}
	return fmt.Errorf("there is no command %q; -help shows them", flags.Arg(0))
}
