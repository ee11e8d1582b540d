// SPDX-License-Identifier: Apache-2.0
// Runs in Firefox with the browser's own rights: keeps a picture of the PIN prompt and answers it once.
//
// arguments[0]: the PIN; arguments[1]: the picture's path
let pin = arguments[0];
const path = arguments[1];

async function picture(dialog) {
  // A dialog's content is laid out after it says that it is loaded. The main window's timers stand still now.
  await new Promise(resolve => dialog.setTimeout(resolve, 100));
  const root = dialog.document.documentElement;
  const area = new dialog.DOMRect(0, 0, Math.max(dialog.innerWidth, root.scrollWidth),
    Math.max(dialog.innerHeight, root.scrollHeight));
  const bitmap = await dialog.browsingContext.currentWindowGlobal.drawSnapshot(area, 1, "rgb(255,255,255)");
  const canvas = dialog.document.createElementNS("http://www.w3.org/1999/xhtml", "canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  const blob = await new Promise(resolve => canvas.toBlob(resolve));
  await IOUtils.write(path, new Uint8Array(await blob.arrayBuffer()));
}

const observer = {
  async observe(dialog) {
    const { args, ui } = dialog.Dialog;
    // A second prompt would be for a PIN that was wrong: three of those block the key.
    if (args.promptType != "promptPassword" || pin === null) {
      (ui.button1 ?? ui.button0).click();
      return;
    }
    const answer = pin;
    pin = null;
    try {
      await picture(dialog);
    } finally {
      ui.password1Textbox.value = answer;
      ui.button0.click();
    }
  },
};
Services.obs.addObserver(observer, "common-dialog-loaded");
Services.prefs.setStringPref("security.default_personal_cert", "Select Automatically");
Services.wm.getMostRecentWindow("navigator:browser").__pivgate = observer;
