/** Goes into inventories, so that an old boot file is noticed. Equal to package.json's. */
export const AGENT_VERSION = '0.1.0'
