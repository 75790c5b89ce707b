package sqlsink

import (
	"context"
	"database/sql"
	"database/sql/driver"
)

// openCaching is sql.Open with connections that keep their prepared statements.
// Handlers run the same few statements for every event, and to prepare one costs
// SQLite as much as to run it.
func openCaching(name, dsn string) (*sql.DB, error) {
	db, err := sql.Open(name, dsn)
	if err != nil {
		return nil, err
	}
	d := db.Driver()
	if err := db.Close(); err != nil { // it was opened for its driver; nothing is connected yet
		return nil, err
	}
	return sql.OpenDB(connector{d, dsn}), nil
}

type connector struct {
	driver driver.Driver
	dsn    string
}

func (c connector) Driver() driver.Driver { return c.driver }

func (c connector) Connect(context.Context) (driver.Conn, error) {
	base, err := c.driver.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	full, ok := base.(fullConn)
	if !ok {
		return base, nil
	}
	return &conn{fullConn: full, statements: make(map[string]*statement)}, nil
}

// fullConn is what database/sql may ask of a connection.
type fullConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// fullStmt is what a statement must know to be kept.
type fullStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// A conn keeps statements with arguments prepared. database/sql uses a
// connection from one goroutine at a time.
type conn struct {
	fullConn
	statements map[string]*statement
}

type statement struct {
	fullStmt
	busy bool // its rows are being read
}

const keptStatements = 128

// prepared returns a statement that nobody uses, nil when it cannot be kept.
func (c *conn) prepared(ctx context.Context, query string, args []driver.NamedValue) (*statement, error) {
	if len(args) == 0 {
		return nil, nil // most likely run once
	}
	if s := c.statements[query]; s != nil {
		if s.busy {
			return nil, nil
		}
		return s, nil
	}
	stmt, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	full, ok := stmt.(fullStmt)
	if !ok || len(c.statements) >= keptStatements {
		return nil, stmt.Close()
	}
	s := &statement{fullStmt: full}
	c.statements[query] = s
	return s, nil
}

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.prepared(ctx, query, args)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.fullConn.ExecContext(ctx, query, args)
	}
	return s.ExecContext(ctx, args)
}

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.prepared(ctx, query, args)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.fullConn.QueryContext(ctx, query, args)
	}
	r, err := s.QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.busy = true
	return &rows{Rows: r, statement: s}, nil
}

// Close closes the statements with the connection.
func (c *conn) Close() error {
	for _, s := range c.statements {
		_ = s.Close() // the connection goes anyway
	}
	clear(c.statements)
	return c.fullConn.Close()
}

// rows give their statement back when they are closed.
type rows struct {
	driver.Rows
	statement *statement
}

func (r *rows) Close() error {
	err := r.Rows.Close()
	r.statement.busy = false
	return err
}
