// What Node's c-ares makes of a name: each datum on a line, or the error in its stead.
const dns = require('dns').promises;
const [name, type] = process.argv.slice(2);
const empty = { ENODATA: 'NODATA', ENOTFOUND: 'NXDOMAIN' };
const asked = type === 'PTR' ? dns.reverse(name) : dns.resolve(name, type);
asked.then(
  (found) => found.forEach((datum) => console.log(datum)),
  (error) => console.log(empty[error.code] ?? error.code),
);
