import { buildModule } from "@nomicfoundation/hardhat-ignition/modules";

export default buildModule("Coin", (m) => {
  const coin = m.contract("Coin", ["Ignited", 1_000_000n]);
  m.call(coin, "transfer", ["0x00000000000000000000000000000000000000aa", 5n]);
  return { coin };
});
