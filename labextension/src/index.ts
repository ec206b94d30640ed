import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { addCommands, CommandIDs } from './commands';

const plugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-workspaces:plugin',
  description: 'Adds a command that opens the workspaces panel in a notebook.',
  autoStart: true,
  requires: [INotebookTracker],
  optional: [ICommandPalette, ILauncher, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    notebooks: INotebookTracker,
    palette: ICommandPalette | null,
    launcher: ILauncher | null,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load('jupyter_workspaces');
    addCommands(app, notebooks, trans);
    palette?.addItem({
      command: CommandIDs.openPanel,
      category: trans.__('Cluster Workspaces')
    });
    launcher?.add({
      command: CommandIDs.openPanel,
      category: trans.__('Cluster Workspaces'),
      args: { newNotebook: true },
      rank: 1
    });
  }
};

export default plugin;
