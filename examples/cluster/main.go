// Cluster starts a whole cluster on this machine: a directory (a real slapd),
// two back ends and two front ends, each a process of its own with a
// configuration that can be read, and prints what to try.
//
//	cluster [-network 127.77.0]
//	cluster -selftest
//
// With -selftest it does by itself what the tour tells, and exits with status 0
// when everything was as it should be.
//
// It needs OpenLDAP (on Debian: apt-get install slapd ldap-utils), the go
// command, and a system on which all of 127.0.0.0/8 is loopback, as Linux is.
// All state is in a temporary directory that is removed at the end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	network := flag.String("network", "", "first three `numbers` of the addresses; empty: 127.77.0, and some free ones for a self-test")
	selftest := flag.Bool("selftest", false, "do what the tour tells, and exit")
	flag.Parse()
	work := tour
	if *selftest {
		work = selfTest
	}
	if *network == "" {
		*network = "127.77.0"
		if *selftest {
			*network = fmt.Sprintf("127.%d.%d", 100+rand.IntN(100), rand.IntN(256))
		}
	}
	err := run(ctx, *network, os.Stdout, work)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// run starts a cluster, works with it, and stops it.
func run(ctx context.Context, network string, out io.Writer, work func(context.Context, *cluster, io.Writer) error) error {
	for _, program := range []string{"slapd", "ldapadd", "ldapmodify"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w; on Debian it is in the packages slapd and ldap-utils", err)
		}
	}
	dir, err := os.MkdirTemp("", "posthouse-cluster-")
	if err != nil {
		return err
	}
	c := &cluster{dir: dir, network: network}
	starting, cancel := context.WithTimeout(ctx, 5*time.Minute)
	err = c.start(starting, out)
	cancel()
	if err == nil {
		err = work(ctx, c, out)
	}
	return errors.Join(err, c.stop(), os.RemoveAll(dir))
}
