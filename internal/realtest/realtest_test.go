package realtest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPeersStartAndStop(t *testing.T) {
	Require(t, "dovecot", "postfix")
	RequireRoot(t)
	ctx := context.Background()
	d, err := StartDovecot(ctx, 2)
	require.NoError(t, err)
	defer d.Stop()
	p, err := StartPostfix(ctx, PostfixRoutes{"example.test": "discard:"})
	require.NoError(t, err)
	defer p.Stop()
	require.Zero(t, p.Queued())
}
