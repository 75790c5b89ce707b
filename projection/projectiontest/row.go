package projectiontest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Row is what a query yields: a value a column. A test may write any type that
// can be an argument of a query; of whole numbers only the value counts, true is
// 1, and a time is compared as the moment that it is.
type Row []any

// normal returns rows with the types that SQLite has.
func normal(rows []Row) ([]Row, error) {
	var out []Row
	for _, r := range rows {
		n := make(Row, len(r))
		for i, v := range r {
			var err error
			if n[i], err = plain(v); err != nil {
				return nil, fmt.Errorf("column %d of %v: %w", i+1, r, err)
			}
		}
		out = append(out, n)
	}
	return out, nil
}

func plain(v any) (any, error) {
	v, err := driver.DefaultParameterConverter.ConvertValue(v)
	switch x := v.(type) {
	case bool:
		if x {
			return int64(1), err
		}
		return int64(0), err
	case time.Time:
		return x.UTC(), err
	}
	return v, err
}

// scan reads all rows and closes them.
func scan(rows *sql.Rows) ([]Row, error) {
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var list []Row
	for rows.Next() {
		r, to := make(Row, len(columns)), make([]any, len(columns))
		for i := range r {
			to[i] = &r[i]
		}
		if err := rows.Scan(to...); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return normal(list)
}

// dump returns the rows of all tables of a read model, by table, in one order.
// The sink's own tables and SQLite's are left out.
func dump(ctx context.Context, db *sql.DB) (map[string][]string, error) {
	tables, err := db.QueryContext(ctx, `select name from pragma_table_list
		where schema = 'main' and type in ('table', 'virtual') and name not glob 'sqlite_*' and name not glob 'rollforward_*'`)
	if err != nil {
		return nil, err
	}
	names, err := scan(tables)
	if err != nil {
		return nil, err
	}
	out := make(map[string][]string)
	for _, n := range names {
		name := n[0].(string)
		rows, err := db.QueryContext(ctx, `select * from "`+strings.ReplaceAll(name, `"`, `""`)+`"`)
		if err != nil {
			return nil, err
		}
		list, err := scan(rows)
		if err != nil {
			return nil, err
		}
		lines := make([]string, len(list))
		for i, r := range list {
			lines[i] = line(r)
		}
		slices.Sort(lines)
		out[name] = lines
	}
	return out, nil
}

// line shows a row so that different rows look different.
func line(r Row) string {
	cells := make([]string, len(r))
	for i, v := range r {
		switch v := v.(type) {
		case nil:
			cells[i] = "NULL"
		case string:
			cells[i] = fmt.Sprintf("%q", v)
		case []byte:
			cells[i] = fmt.Sprintf("x'%x'", v)
		case float64:
			cells[i] = fmt.Sprintf("%g (real)", v)
		default:
			cells[i] = fmt.Sprint(v)
		}
	}
	return strings.Join(cells, " | ")
}
