import net from 'node:net'; import fs from 'node:fs';

// Espressif's flasher for browsers against a virtual board on TCP (docs/oracles.md):
//   npm install --prefix /tmp/esptool-js esptool-js@0.7.0
//   wakestorm board --tcp 4000
//   node tests/oracles/esptool-js.mjs /tmp/esptool-js 127.0.0.1 4000 some-file
const [folder, host, port, file] = process.argv.slice(2);
const { ESPLoader, Transport } = await import(`${folder}/node_modules/esptool-js/lib/index.js`);

// What a browser calls a Web Serial port, over TCP.
class Device {
  constructor() { this.readable = null; this.writable = null; }
  getInfo() { return { usbVendorId: 0x10c4, usbProductId: 0xea60 }; }
  async open() {
    this.socket = net.connect(Number(port), host); this.socket.setNoDelay(true);
    await new Promise((ok, no) => { this.socket.once('connect', ok); this.socket.once('error', no); });
    const s = this.socket;
    this.readable = new ReadableStream({ start(c) { s.on('data', d => { try { c.enqueue(new Uint8Array(d)); } catch {} }); s.on('close', () => { try { c.close(); } catch {} }); } });
    this.writable = new WritableStream({ write(d) { return new Promise(ok => s.write(Buffer.from(d), ok)); } });
  }
  async close() { this.socket.destroy(); }
  async setSignals() {}
  async getSignals() { return {}; }
  addEventListener() {} removeEventListener() {}
}
const terminal = { clean() {}, writeLine(t) { console.log(t); }, write(t) { process.stdout.write(t); } };
const loader = new ESPLoader({ transport: new Transport(new Device(), false), baudrate: 115200, terminal, romBaudrate: 115200 });
console.log('CHIP', await loader.main('no_reset'));
console.log('FLASH', await loader.readFlashId().then(x => x.toString(16)));
const data = fs.readFileSync(file);
const crypto = await import('node:crypto');
const started = Date.now();
await loader.writeFlash({ fileArray: [{ data: new Uint8Array(data), address: 0x10000 }], flashSize: 'keep', flashMode: 'keep', flashFreq: 'keep', eraseAll: false, compress: true, calculateMD5Hash: image => crypto.createHash('md5').update(image).digest('hex') });
console.log('WRITTEN', Date.now() - started, 'ms');
const back = await loader.readFlash(0x10000, data.length);
console.log('READ BACK SAME', Buffer.from(back).equals(data));
await loader.after('no_reset'); process.exit(0);
